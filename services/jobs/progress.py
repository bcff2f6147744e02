"""The progress of running jobs: small files, not rows of the queue, since they are of no use after a crash."""

from contextlib import suppress
from pathlib import Path

from core.files import replacing
from services.jobs.job_files import JobFiles


class Progress(JobFiles):
    """The progress of the running jobs of all workers: a file each, below the work folder."""

    def __init__(self, work: Path) -> None:
        super().__init__(work / "progress")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._last = ""

    def begin(self, job: str) -> None:
        """Begin a job of this worker; the end of its last one is on the queue, so that one's file is removed."""
        if self._last not in ("", job):
            self.forget(self._last)
        self._last = job
        self.show(job, 0.0)

    def show(self, job: str, done: float) -> None:
        """Write a job's progress; a disk that cannot be written is ignored, since progress is dispensable."""
        with suppress(OSError), replacing(self.of(job)) as temporary:
            temporary.write_text(f"{done:.4f}")

    def read(self, job: str) -> float:
        """Read the progress of a job, 0 to 1."""
        try:
            return min(1.0, max(0.0, float(self.of(job).read_text())))
        except (OSError, ValueError):
            return 0.0
