"""The actions that a person may ask for on a study: to run it again, to take quarantined images in, to forget it."""

from uuid import uuid4

from core.files import sync_folder
from dicom_io.spool.records import ARRIVED, ENDED_WELL, NO_DESTINATION, WITHDRAWN, Outcome, State
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool


def run_again(spool: Spool, key: str) -> Revision:
    """Queue a study's newest revision again, at a person's request.

    A study that was refused or failed starts where it ended: results that exist are delivered, not made again, unless a
    file of them is gone. One that was delivered, or held nothing, is run as a new revision of the same images, with
    results of new UIDs.

    Raises
    ------
    ValueError
        If the study has no revision, or is at work.
    """
    with spool.locked(key):
        latest = spool.latest_revision(key)
        if latest is None or not latest.state.is_final:
            raise ValueError("the study has not ended")
        if latest.state in ENDED_WELL:
            return spool.open_revision(key, State.WAITING)
        outcome, state = latest.read_outcome(), latest.read_state()
        if outcome is not None and (
            outcome.outcome in ("refused", "failed")
            or (state.reason is not None and state.reason.code == NO_DESTINATION)
            or _lacks_files(latest, outcome)
        ):
            latest.forget_outcome()
            latest.forget_deliveries()
        for name, delivery in latest.deliveries().items():
            if delivery.state not in (*ARRIVED, WITHDRAWN):
                latest.write_delivery(name, delivery.begun_again())
        latest.tries.forget()
        latest.write_state(state=State.WAITING, run=state.run + 1, overtimes=0, gave_way=0, reason=None)
        spool.mark_open(key)
        return latest


def _lacks_files(revision: Revision, outcome: Outcome) -> bool:
    """Return whether anything that was made, or is still to be sent, is no longer there."""
    made = [name for names in outcome.files.values() for name in names]
    unsent = [
        name
        for delivery in revision.deliveries().values()
        if delivery.state not in (*ARRIVED, WITHDRAWN)
        for name in delivery.files
    ]
    return not all((revision.results / name).is_file() for name in (*made, *unsent))


def forget(spool: Spool, key: str) -> None:
    """Delete a study that is at its end, its quarantined images too, at a person's request.

    The UIDs of its results stay known as the node's own, so that they never come back as input.

    Raises
    ------
    ValueError
        If the study is receiving or at work.
    """
    if not spool.delete(key, lambda revisions: all(one.state.is_final for one in revisions), quarantined=True):
        raise ValueError("the study has not ended")


def release(spool: Spool, key: str) -> Revision:
    """Have a study's quarantined images take the places of those that came first, in a new revision.

    Raises
    ------
    ValueError
        If nothing is quarantined, or the study is still receiving images.
    """
    with spool.locked(key):
        held = sorted(spool.quarantine(key).glob("*.dcm"), key=lambda path: path.stat().st_mtime_ns)
        latest = spool.latest_revision(key)
        if not held or latest is None:
            raise ValueError("the study has no quarantined images")
        if latest.state is State.RECEIVING:
            raise ValueError("the study is still receiving images")
        # Copies by link: whatever happens before the end, the quarantine still has them.
        newest = {path.stem.rpartition("-")[0]: path for path in held}
        links = {}
        for name, path in newest.items():
            link = spool.incoming / f"{uuid4().hex}.part"
            link.hardlink_to(path)
            links[link] = f"{name}.dcm"
        revision = spool.open_revision(key, State.RECEIVING, links)
        for path in newest.values():
            path.unlink()
        sync_folder(spool.quarantine(key))
        return revision
