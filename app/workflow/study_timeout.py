"""A study that takes too long, or has lost its GPU, costs its worker: the supervisor starts a fresh one.

The supervisor keeps the time (`runtime.watchdog`).
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.event_log import EventLog
from dicom_io.spool.isolation import DAMAGE, problem_of
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool
from runtime.devices import ends_with_device
from runtime.watchdog import Clock, Line, Watchdog, timed

_log = EventLog()


@contextmanager
def study_time_limit(line: Line, limit_s: float, key: str, revision: int) -> Iterator[Clock]:
    """Put a time limit on the block, in which a study is worked at; end the process if its GPU is lost there.

    Parameters
    ----------
    line
        Connection to the supervisor.
    limit_s
        How long one study may take, not counting the time for which its clock is stopped.
    key, revision
        The study, and its revision's number.
    """
    with timed(line, key, revision, limit_s) as clock, ends_with_device({"study": key, "revision": revision}):
        yield clock


class StudyWatchdog(Watchdog):
    """Ends one worker when the study that it works at takes too long.

    Parameters
    ----------
    process
        The worker.
    spool
        Where the study learns why it is tried again.
    """

    def __init__(self, process: subprocess.Popen[bytes], spool: Spool) -> None:
        super().__init__(process, ("study", "revision"), self._note)
        self._spool = spool

    def _note(self, key: str, number: int) -> None:
        for beside in {*self.under_way} - {(key, number)}:
            self._change(*beside, _spare)
        self._change(key, number, _count_overtime)

    def _change(self, key: str, number: int, change: Callable[[Revision], None]) -> None:
        revision = self._spool.revision(key, number)
        try:
            with self._spool.changing(revision):
                change(revision)
        except DAMAGE as error:
            _log.warning("overtime_not_noted", study=key, problem=problem_of(error))


def _count_overtime(revision: Revision) -> None:
    revision.tries.blame_latest()
    revision.write_state(overtimes=revision.read_state().overtimes + 1)


def _spare(revision: Revision) -> None:
    revision.tries.spare_latest()
