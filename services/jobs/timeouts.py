"""Jobs that took too long: a small file each, until the worker that takes the job up again has failed it for that."""

from pathlib import Path
from typing import Final

from core.event_log import EventLog
from services.jobs.job_files import JobFiles

_log: Final = EventLog()


class JobTimeouts(JobFiles):
    """Notes of jobs that took too long, below the service's work folder.

    Parameters
    ----------
    work
        The service's work folder.
    """

    def __init__(self, work: Path) -> None:
        super().__init__(work / "overtime")

    def note(self, job: str) -> None:
        """Note that a job took too long; if the disk cannot be written, the job is retried."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.of(job).touch()
        except OSError as error:
            _log.warning("overtime_not_noted", job=job, problem=error.strerror)

    def is_noted(self, job: str) -> bool:
        """Tell whether a job took too long."""
        return self.of(job).exists()
