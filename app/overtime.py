"""A study that takes too long, or has lost its GPU, costs its worker: the supervisor starts a fresh one.

The worker says on its standard output what it works at and how long that may take. The supervisor keeps the time, so
that even a process in which no Python runs any more is ended.
"""

import logging
import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from app.segmenting import StudySegmenter
from core.report import Report
from dicom_io.spool.spool import Spool

LOST_DEVICE_EXIT = 7
_BUSY, _DONE = b"busy", b"done"

_log = logging.getLogger("segnode")


class Line(Protocol):
    """The worker's line to its supervisor: `app.child.ParentLink`."""

    def say(self, what: bytes) -> None:
        """Say one line."""
        ...


class TimedSegmenter:
    """Tells the supervisor when work on a study begins and ends, and ends the process where its GPU is lost.

    Parameters
    ----------
    segmenter
        What does the work.
    line
        To the supervisor.
    limit_s
        How long one study may take.
    """

    def __init__(self, segmenter: StudySegmenter, line: Line, limit_s: float) -> None:
        self._segmenter = segmenter
        self._line = line
        self._limit_s = limit_s

    def run(
        self,
        input_folder: Path,
        output_folder: Path,
        models: Sequence[str],
        *,
        revision: int = 0,
        notes: Sequence[str] = (),
    ) -> list[Report]:
        """As the segmenter does."""
        key = input_folder.parents[1].name
        study = f"{key} {revision}".encode()
        self._line.say(b"%s %s %.3f\n" % (_BUSY, study, self._limit_s))
        try:
            return self._segmenter.run(input_folder, output_folder, models, revision=revision, notes=notes)
        except RuntimeError as problem:
            if is_device_lost(problem):
                # No study that comes after could use the GPU in this process any more.
                _log.error("gpu_lost", extra={"study": key, "revision": revision})
                os._exit(LOST_DEVICE_EXIT)
            raise
        finally:
            self._line.say(b"%s %s\n" % (_DONE, study))


def is_device_lost(problem: RuntimeError) -> bool:
    """Whether an error leaves a process's CUDA context unusable, as all but a lack of memory do."""
    return "CUDA error" in str(problem)


class Timekeeper:
    """Ends one worker when the study that it works at takes too long.

    Parameters
    ----------
    process
        The worker.
    spool
        Where the study learns why it is tried again.
    """

    def __init__(self, process: subprocess.Popen[bytes], spool: Spool) -> None:
        self._process = process
        self._spool = spool
        self._timers: dict[tuple[str, int], threading.Timer] = {}
        self._stopped = False
        self._lock = threading.Lock()

    def hear(self, line: bytes) -> None:
        """Take in what the worker says."""
        what, key, number, *limit_s = line.split()
        study = key.decode(), int(number)
        with self._lock:
            if (timer := self._timers.pop(study, None)) is not None:
                timer.cancel()
            if what == _BUSY and not self._stopped:
                timer = threading.Timer(float(limit_s[0]), self._end, study)
                timer.daemon = True
                self._timers[study] = timer
                timer.start()

    def stop(self) -> None:
        """Take no more time: the worker has ended."""
        with self._lock:
            self._stopped = True
            for timer in self._timers.values():
                timer.cancel()

    def _end(self, key: str, number: int) -> None:
        _log.error("study_takes_too_long", extra={"study": key, "revision": number, "pid": self._process.pid})
        self._process.kill()
        # Whatever lock it held is free only then.
        self._process.wait()
        revision = self._spool.revision(key, number)
        try:
            with self._spool.changing(revision):
                revision.write_state(overtimes=revision.read_state().get("overtimes", 0) + 1)
        except OSError as error:
            _log.warning("overtime_not_noted", extra={"study": key, "problem": error.strerror})
