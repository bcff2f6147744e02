"""The file by which a machine's worker shows that it lives; a command looks at it without loading DBOS."""

from pathlib import Path

from training.settings import TrainingSettings


def worker_lock(settings: TrainingSettings) -> Path:
    """Return the file that a machine's worker locks as long as it lives."""
    return settings.folders.queue / f".{settings.executor}.lock"
