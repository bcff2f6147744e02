"""The file by which a machine's worker shows that it lives; a command looks at it without loading DBOS."""

import time
from pathlib import Path

from core.file_locks import is_locked
from training.runs.records import State, runs_in
from training.settings import TrainingSettings

LOOK_EVERY_S = 0.5


def worker_lock(settings: TrainingSettings) -> Path:
    """Return the file that a machine's worker locks as long as it lives."""
    return settings.folders.queue / f".{settings.executor}.lock"


def is_needed(settings: TrainingSettings) -> bool:
    """Wait while another worker may still take what is queued; return True if none is there, False if nothing waits.

    One that is about to end, since it found nothing left, holds its lock a moment longer than it looks.
    """
    lock = worker_lock(settings)
    while lock.exists() and is_locked(lock):
        if not any(run.state().state is State.QUEUED for run in runs_in(settings.folders.queue)):
            return False
        time.sleep(LOOK_EVERY_S)
    return True
