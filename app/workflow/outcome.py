"""The graph's answer as the spool keeps it (`dicom_io.spool.records`)."""

from collections.abc import Mapping, Sequence

from core.report import Report
from dicom_io.spool.records import Outcome, RecordedReason, RecordedWarning


def make_outcome(
    outcome: str, code: str = "", message: str = "", *, files: Mapping[str, Sequence[str]] | None = None
) -> Outcome:
    """Build an entry for ``outcome.json``.

    Parameters
    ----------
    outcome
        ``segmented``, ``nothing_found``, ``refused`` or ``failed``.
    code, message
        Why, where there is a reason.
    files
        Objects to deliver by the model that made them, relative to the results folder.
    """
    reason = RecordedReason(code, message) if code else None
    return Outcome(outcome, reason, {model: tuple(names) for model, names in (files or {}).items()})


def outcome_of(report: Report) -> Outcome:
    """Build the entry for a run of the graph that came to an answer."""
    files = {
        model.name: [f"{report.study}/{name}" for name in model.outputs if name.endswith(".dcm")]
        for model in report.models
    }
    reason = report.reason
    code, message = (reason.code, reason.message) if reason is not None else ("", "")
    return make_outcome(report.outcome, code, message, files=files)


def warnings_of(report: Report) -> tuple[RecordedWarning, ...]:
    """Return the warnings of a run of the graph, as the spool keeps them."""
    return tuple(RecordedWarning(one.code, one.message, one.series, one.model) for one in report.warnings)
