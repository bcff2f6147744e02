"""A study that takes too long, or has lost its GPU, costs its worker: the supervisor starts a fresh one.

The supervisor keeps the time (`runtime.watchdog`).
"""

import logging
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from app.workflow.segment_step import StudySegmenter
from core.report import Report
from dicom_io.spool.isolation import DAMAGE, problem_of
from dicom_io.spool.spool import Spool
from runtime.devices import LOST_DEVICE_EXIT, is_device_lost
from runtime.watchdog import Line, Watchdog, timed

_log = logging.getLogger("segnode")


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
        with timed(self._line, key, revision, self._limit_s):
            try:
                return self._segmenter.run(input_folder, output_folder, models, revision=revision, notes=notes)
            except RuntimeError as problem:
                if is_device_lost(problem):
                    # No study that comes after could use the GPU in this process any more.
                    _log.error("gpu_lost", extra={"study": key, "revision": revision})
                    os._exit(LOST_DEVICE_EXIT)
                raise


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
        revision = self._spool.revision(key, number)
        try:
            with self._spool.changing(revision):
                revision.write_state(overtimes=revision.read_state().overtimes + 1)
        except DAMAGE as error:
            _log.warning("overtime_not_noted", extra={"study": key, "problem": problem_of(error)})
