"""Watches the spool: closes studies that have been quiet for long enough, and sees that each gets its work."""

import logging
import time
from typing import Protocol

from dicom_io.spool.revision import Revision, State
from dicom_io.spool.spool import Spool

_log = logging.getLogger("segnode")


class StudyWork(Protocol):
    """The durable work on revisions: `app.workflow.StudyFlow`."""

    def enqueue(self, revision: Revision) -> None:
        """Queue the work on a closed revision; for the same run of it, again changes nothing."""
        ...

    def is_under_way(self, revision: Revision) -> bool:
        """Whether work on it is queued, waits or runs."""
        ...


def recover(spool: Spool, work: StudyWork) -> list[Revision]:
    """Begin again what is closed, not at its end, and has no work under way; what that was.

    That is so after the workflow database was lost, a new program version, or an error that could not be noted.
    """
    for key in spool.study_keys():
        latest = spool.latest_revision(key)
        if latest is not None and latest.state is State.RECEIVING:
            spool.mark_open(key)
    begun = []
    for revision in spool.unfinished():
        if work.is_under_way(revision):
            continue
        with spool.changing(revision):
            old = revision.read_state()
            state = State.WAITING if old["state"] == State.RUNNING else old["state"]
            revision.write_state(state=state, run=old["run"] + 1)
        _log.warning("study_begun_again", extra={"study": revision.key, "revision": revision.number})
        work.enqueue(revision)
        begun.append(revision)
    return begun


class Intake:
    """Decides which revisions are complete.

    The quiet time is measured by this process's own monotonic clock, from the moment it saw the last image: neither a
    clock that jumps nor a restart can cut it short.

    Parameters
    ----------
    spool
        The spool to watch.
    quiet_seconds
        How long no image may come before a study is complete.
    work
        Where closed revisions go.
    """

    def __init__(self, spool: Spool, quiet_seconds: float, work: StudyWork) -> None:
        self._spool = spool
        self._quiet_seconds = quiet_seconds
        self._work = work
        self._seen: dict[str, tuple[int, int, float]] = {}

    def look(self, now: float | None = None) -> None:
        """Look once at every open study."""
        now = time.monotonic() if now is None else now
        for key in self._spool.open_keys():
            for revision in self._spool.revisions(key):
                if revision.state is State.RECEIVING:
                    self._close_if_quiet(revision, now)
                if revision.state is State.WAITING:
                    self._work.enqueue(revision)
            self._spool.unmark(key)

    def _close_if_quiet(self, revision: Revision, now: float) -> None:
        stamp = revision.arrival_stamp()
        number, seen, since = self._seen.get(revision.key, (-1, 0, 0.0))
        if (number, seen) != (revision.number, stamp):
            self._seen[revision.key] = (revision.number, stamp, now)
        elif now - since >= self._quiet_seconds and self._spool.close(revision, stamp):
            del self._seen[revision.key]
            images = revision.image_count()
            _log.info("study_complete", extra={"study": revision.key, "revision": revision.number, "images": images})
