"""The process that tells MLflow of this machine's runs, as a child of the worker or job that has them trained."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec

from core.event_log import EventLog
from runtime.child import PYTHON
from training.settings import TrainingSettings

MODULE = "training.tracking.follow"
"""Above this room, which knows it by its name alone."""
PATIENCE_S = 30.0
"""Time at the end for what was not sent yet; what takes longer is sent by the next process."""

_log = EventLog()


@contextmanager
def followed(settings: TrainingSettings, runs: Sequence[str] = ()) -> Iterator[None]:
    """Have MLflow told of runs during the block: of these, or of all that are queued.

    No run waits for it, nor fails with it: it reads what the runs write into their folders.
    """
    if not settings.tracking:
        yield
        return
    if find_spec("mlflow") is None:
        _log.warning("tracking_not_installed", remedy="pip install 'segnode[training]', or tracking: false")
        yield
        return
    process = subprocess.Popen(  # noqa: S603 - this project's own module
        [*PYTHON, MODULE, settings.model_dump_json(), *runs], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield
    finally:
        if process.stdin is not None:
            process.stdin.close()  # it sends what is left, and ends
    # Not where the block failed: a job whose time is over has to be queued again at once.
    with suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE_S)
