"""The marks of attempts at jobs, an empty file each (`runtime.attempts`); one that stays tells of a worker's death."""

from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from services.jobs.job_files import JobFiles


class AttemptMarks(JobFiles):
    """The marks of the attempts of all workers, below the service's work folder.

    Parameters
    ----------
    work
        The service's work folder.
    """

    def __init__(self, work: Path) -> None:
        super().__init__(work / "attempts")
        self.folder.mkdir(parents=True, exist_ok=True)

    def new(self, job: str) -> Path:
        """Return the path of the mark of one more attempt at a job."""
        return self.of(job).with_name(f"{job}.{uuid4().hex}")

    def all_of(self, job: str) -> list[Path]:
        """List the marks of a job's attempts that are under way, or ended with their worker."""
        return list(self.folder.glob(f"{self.of(job).name}.*"))

    def forget(self, job: str) -> None:
        """Remove the marks of a job that has reached its end."""
        for mark in self.all_of(job):
            with suppress(OSError):
                mark.unlink()
