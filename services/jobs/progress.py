"""How far running jobs have come: small files, not rows of the queue, since they are of no use after a crash."""

from contextlib import suppress
from pathlib import Path

from services.jobs.job_files import JobFiles


class Progress(JobFiles):
    """How far the running jobs of all workers have come: a file each, below the work folder."""

    def __init__(self, work: Path) -> None:
        super().__init__(work / "progress")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._last = ""

    def begin(self, job: str) -> None:
        """Begin a job of this worker: the end of its last one is on the queue by now, and that one's file of no use."""
        if self._last not in ("", job):
            self.forget(self._last)
        self._last = job

    def show(self, job: str, done: float) -> None:
        """Say how far a job is; if the disk does not take it, nobody needs it."""
        path = self.of(job)
        temporary = path.with_name(f".{job}")
        with suppress(OSError):
            temporary.write_text(f"{done:.4f}")
            temporary.replace(path)

    def read(self, job: str) -> float:
        """How far a job is, 0 to 1."""
        try:
            return min(1.0, max(0.0, float(self.of(job).read_text())))
        except (OSError, ValueError):
            return 0.0
