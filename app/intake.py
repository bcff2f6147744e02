"""Watches the spool, closes studies that have been quiet for long enough, and queues them."""

import logging
import time
from collections.abc import Callable

from dicom_io.revision import Revision, State
from dicom_io.spool import Spool

_log = logging.getLogger("segnode")


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
    enqueue
        Queues the work on a closed revision; may be called again for the same one.
    """

    def __init__(self, spool: Spool, quiet_seconds: float, enqueue: Callable[[Revision], None]) -> None:
        self._spool = spool
        self._quiet_seconds = quiet_seconds
        self._enqueue = enqueue
        self._seen: dict[str, tuple[int, int, float]] = {}

    def recover(self) -> None:
        """Queue all that is closed and not at its end; what the workflow database knows already stays as it is."""
        for key in self._spool.study_keys():
            latest = self._spool.latest_revision(key)
            if latest is not None and latest.state is State.RECEIVING:
                self._spool.mark_open(key)
        for revision in self._spool.unfinished():
            self._enqueue(revision)

    def look(self, now: float | None = None) -> None:
        """Look once at every open study."""
        now = time.monotonic() if now is None else now
        for key in self._spool.open_keys():
            for revision in self._spool.revisions(key):
                if revision.state is State.RECEIVING:
                    self._close_if_quiet(revision, now)
                if revision.state is State.WAITING:
                    self._enqueue(revision)
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
