"""Jobs that took too long: a small file each, until whoever takes such a job up again has ended it by that name."""

import logging
from pathlib import Path
from typing import Final

from services.jobs.job_files import JobFiles

_log: Final = logging.getLogger("segnode")


class Overtime(JobFiles):
    """Notes of overtime, below the service's work folder.

    Parameters
    ----------
    work
        That folder.
    """

    def __init__(self, work: Path) -> None:
        super().__init__(work / "overtime")

    def note(self, job: str) -> None:
        """Say that a job took too long; if the disk does not take it, the job is tried again."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.of(job).touch()
        except OSError as error:
            _log.warning("overtime_not_noted", extra={"job": job, "problem": error.strerror})

    def is_noted(self, job: str) -> bool:
        """Whether a job took too long."""
        return self.of(job).exists()
