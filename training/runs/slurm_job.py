"""A job of SLURM's: ``python -m training.runs.slurm_job training.yaml RUN...``, of an array the run of its number.

It brings the run to its end as the local worker does. Where its time runs out first, it has itself queued again.
"""

import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType

from core.event_log import EventLog
from runtime.child import run_child
from runtime.logs import configure_logging
from training.folders import nnunet_environment, open_site
from training.runs.attempt import Interrupted, Pace, bring_to_end
from training.runs.records import RunFolder, State
from training.runs.slurm import requeue
from training.settings import TrainingSettings, load_training_settings

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
    configure_logging("slurm", settings.logs)
    open_site(settings)
    run = RunFolder(settings.folders.queue / sys.argv[2 + int(os.environ["SLURM_ARRAY_TASK_ID"])])
    if run.state().state.is_over:
        return  # it was stopped while it waited
    run.change(host=socket.gethostname(), device=os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    pace = Pace(60.0 * settings.checkpoint_minutes, settings.retry_seconds)
    try:
        state = bring_to_end(run, _environment(settings), pace, ending.is_set)
    except Interrupted:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
        run.change(state=State.QUEUED, reason=f"its allocation ended; {job} is queued again")
        _log.info("run_requeued", run=run.key, job=job)
        requeue(job)
        return
    if state.state is State.FAILED:
        sys.exit(1)


def _environment(settings: TrainingSettings) -> dict[str, str]:
    cores = os.environ.get("SLURM_CPUS_PER_TASK", "1")
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", cores), "OMP_WAIT_POLICY": "PASSIVE"}
    return {**threads, **nnunet_environment(settings.folders)}


if __name__ == "__main__":
    main()
