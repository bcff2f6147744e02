"""The destinations that get a notice about a study, and the notice itself (`dicom_io.results.notice_image`)."""

from collections.abc import Sequence

from core.errors import ReasonCode
from core.event_log import EventLog
from core.study_warning import WarningCode
from dicom_io.results.notice_image import Notice, NoticeKind, build_notice, read_notice_header
from dicom_io.results.seg.build import write_seg
from dicom_io.spool.records import Outcome, Plan, RecordedReason, RevisionState
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool

_log = EventLog()


def notice_kind(models: Sequence[str], outcome: Outcome) -> NoticeKind | None:
    """Return what a destination of these models' results has to be told; None where a result says it.

    Parameters
    ----------
    models
        The destination's models.
    outcome
        What the graph answered.
    """
    files = outcome.files
    if outcome.outcome == "refused":
        return "refused"
    if outcome.outcome == "failed":
        return "failed"
    if outcome.reason and any(model not in files for model in models):
        return "refused"
    if outcome.outcome == "nothing_found" or not any(files.get(model) for model in models):
        return "nothing_found"
    return None


def write_notices(spool: Spool, revision: Revision, plan: Plan) -> dict[str, str]:
    """Write the notices that the study's plan asks for.

    Returns
    -------
    dict
        File below the results folder, by destination. A notice that exists already is kept as it is, so that every try
        sends the same object.
    """
    outcome = revision.read_outcome()
    if outcome is None:
        return {}
    written: dict[str, str] = {}
    for destination, planned in plan.destinations.items():
        kind = notice_kind(planned.models, outcome)
        if kind is not None and kind in planned.notices:
            study_uid = spool.study(revision.key)["study"]
            name = _write(revision, study_uid, destination, kind, planned.models, outcome.reason)
            if name is not None:
                written[destination] = name
    return written


def notice_text(kind: NoticeKind, message: str, state: RevisionState) -> str:
    """Return the words of a notice: the reason, images that were not looked at, and the study's notes."""
    # The reason of a refusal names these images itself.
    missed = (WarningCode.FILES_UNREADABLE, WarningCode.IMAGES_SET_ASIDE)
    unseen = [one.message for one in state.warnings if one.code in missed]
    return " ".join([message, *(dict.fromkeys(unseen) if kind == "nothing_found" else ()), *state.notes]).strip()


def _write(
    revision: Revision,
    study_uid: str,
    destination: str,
    kind: NoticeKind,
    models: Sequence[str],
    reason: RecordedReason | None,
) -> str | None:
    state = revision.read_state()
    path = revision.results / f"notice-{state.run}-{destination}.dcm"
    if not path.exists():
        code, message = (reason.code, reason.message) if reason and kind != "nothing_found" else ("", "")
        header = None if code == ReasonCode.MIXED_PATIENTS else read_notice_header(revision.images)
        if header is None:
            # Whom it would be filed under is not known.
            _log.warning("notice_not_written", kind=kind)
            return None
        notice = Notice(kind, code, notice_text(kind, message, state), tuple(models), revision.key)
        revision.results.mkdir(exist_ok=True)
        write_seg(build_notice(notice, header, study_uid, [revision.number, state.run]), path)
    return path.name
