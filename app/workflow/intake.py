"""Watches the spool: closes studies that are complete, and sees that each gets its work."""

import time
from typing import Protocol

from app.workflow.completion import Arrivals, Completion, Verdict
from core.event_log import EventLog
from dicom_io.spool.isolation import apart
from dicom_io.spool.records import RecordedReason, State
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool

IMAGES_MISSING = "images_missing"
"""Reason code of a study that is receiving, and waits for what an archive has of it."""

_log = EventLog()


class StudyWork(Protocol):
    """The durable work on revisions: `app.workflow.study_flow.StudyFlow`."""

    def enqueue(self, revision: Revision) -> None:
        """Queue the work on a closed revision; for the same run of it, again changes nothing."""
        ...

    def is_under_way(self, revision: Revision) -> bool:
        """Return whether work on a revision is queued, waits or runs."""
        ...

    def drop(self, revision: Revision) -> None:
        """Cancel the work on a revision that nobody will ever do, so that it does not lie in the queue for ever."""
        ...


def recover(spool: Spool, work: StudyWork) -> list[Revision]:
    """Begin again what is closed, not at its end, and has no work under way; what that was.

    That is so after the workflow database was lost, a new program version, or an error that could not be noted.
    """
    begun: list[Revision] = []
    for key in spool.study_keys():
        with apart(key):
            # Most studies have long ended, and each reading counts where there are many.
            for revision in spool.revisions(key):
                if (state := revision.state) is State.RECEIVING:
                    spool.mark_open(key)
                elif not state.is_final and _begin_again(spool, work, revision):
                    begun.append(revision)
    return begun


def _begin_again(spool: Spool, work: StudyWork, revision: Revision) -> bool:
    if work.is_under_way(revision):
        return False
    with spool.changing(revision):
        old = revision.read_state()
        if old.state.is_final:
            return False  # it came to its end meanwhile
        state = State.WAITING if old.state is State.RUNNING else old.state
        # Work of an older version, and of the run before; as long as the lock is held, nobody can queue the new run.
        work.drop(revision)
        revision.write_state(state=state, run=old.run + 1, gave_way=0)
    _log.warning("study_begun_again", revision=revision.number)
    work.enqueue(revision)
    return True


class Intake:
    """Closes revisions that are complete, and hands them on.

    Parameters
    ----------
    spool
        The spool to watch.
    completion
        Says which are complete.
    work
        Where closed revisions go.
    """

    def __init__(self, spool: Spool, completion: Completion, work: StudyWork) -> None:
        self._spool = spool
        self._completion = completion
        self._work = work
        self._receiving: dict[str, Arrivals] = {}
        self._passed_over: dict[str, str] = {}

    def look(self, now: float | None = None) -> None:
        """Look once at every open study."""
        now = time.monotonic() if now is None else now
        open_keys = self._spool.open_keys()
        for key in open_keys:
            with apart(key, self._passed_over):
                self._look_at(key, now)
        for key in self._receiving.keys() - set(open_keys):
            self._forget(key)

    def _look_at(self, key: str, now: float) -> None:
        revisions = self._spool.revisions(key)
        for revision in revisions:
            if revision.state is State.RECEIVING and revision is not revisions[-1]:
                # Whoever opened the next one died before it could end this one.
                with self._spool.changing(revision):
                    self._spool.supersede(revision)
            elif revision.state is State.RECEIVING:
                self._close_if_complete(revision, now)
            if revision.state is State.WAITING:
                self._work.enqueue(revision)
        self._spool.unmark(key)

    def _close_if_complete(self, revision: Revision, now: float) -> None:
        arrivals = self._receiving.get(revision.key)
        if arrivals is None or arrivals.revision != revision:
            arrivals = self._receiving[revision.key] = Arrivals(revision, now)
        arrivals.look(now)
        verdict = self._completion.judge(arrivals, now)
        if verdict.missing != arrivals.missing:
            self._show_missing(arrivals, verdict)
        if not verdict.complete:
            return
        priority = self._completion.priority(arrivals)
        if self._spool.close(revision, arrivals.stamp, verdict.notes, priority):
            self._forget(revision.key)
            number = revision.number
            _log.info("study_completed", revision=number, images=revision.image_count(), priority=priority)
            for note in verdict.notes:
                _log.warning("study_noted", revision=number, note=note)

    def _show_missing(self, arrivals: Arrivals, verdict: Verdict) -> None:
        arrivals.missing = verdict.missing
        revision, message = arrivals.revision, "; ".join(map(str, verdict.missing))
        reason = RecordedReason(IMAGES_MISSING, f"Still to come: {message}.") if verdict.missing else None
        with self._spool.changing(revision):
            if revision.state is State.RECEIVING:
                revision.write_state(reason=reason)
        if verdict.missing:
            _log.warning("images_not_received", revision=revision.number, of=message)

    def _forget(self, key: str) -> None:
        self._receiving.pop(key, None)
        self._completion.forget(key)
