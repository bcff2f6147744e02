"""A job of a cluster: ``python -m training.runs.cluster_job training.yaml RUN...``, of an array the run of its number.

It brings the run to its end as the local worker does. Where its time runs out first, SLURM is asked to queue it again;
Kubernetes does so by itself for a pod that ends with another exit code than 0.
"""

import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

from core.errors import ConfigInvalid, RetryLater
from core.event_log import EventLog
from runtime.child import run_child
from runtime.logs import configure_logging
from runtime.processor import usable_cores
from training.folders import open_site
from training.runs.attempt import Interrupted, Pace, bring_to_end
from training.runs.followed import followed
from training.runs.records import RunFolder, State
from training.runs.slurm import requeue
from training.runs.variables import variables_of_run
from training.settings import load_training_settings

NUMBERS = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX")
"""Variables in which SLURM and Kubernetes give a job its number in its array."""

_log = EventLog()


def main() -> None:
    """Entry of the job."""
    run_child(_work)


def _work() -> None:
    ending = threading.Event()

    def on_term(number: int, frame: FrameType | None) -> None:
        ending.set()

    signal.signal(signal.SIGTERM, on_term)
    settings = load_training_settings(Path(sys.argv[1]))
    configure_logging("job", settings.logs)
    open_site(settings)
    number = next(int(os.environ[name]) for name in NUMBERS if name in os.environ)
    run = RunFolder(settings.folders.queue / sys.argv[2 + number])
    if run.state().state in (State.STOPPED, State.DONE):
        return  # it was stopped while it waited
    run.change(host=socket.gethostname(), device=os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    cores = int(os.environ.get("SLURM_CPUS_PER_TASK", usable_cores()))
    pace = Pace(60.0 * settings.checkpoint_minutes, settings.retry_seconds)
    try:
        with followed(settings, [run.key]):
            state = bring_to_end(run, variables_of_run(settings.folders, cores), pace, ending.is_set)
    except Interrupted:
        run.change(state=State.QUEUED, reason="its allocation ended; it is queued again")
        _log.info("run_requeued", run=run.key)
        if "SLURM_ARRAY_JOB_ID" not in os.environ:
            sys.exit(RetryLater.exit_code)
        with suppress(ConfigInvalid):  # SLURM has queued it again itself: it was preempted, or somebody asked for it
            requeue(f"{os.environ['SLURM_ARRAY_JOB_ID']}_{number}")
        return
    if state.state is State.FAILED:
        sys.exit(1)


if __name__ == "__main__":
    main()
