"""``launcher: slurm``: runs as jobs of a SLURM cluster, the folds of one start as a job array.

SLURM queues, places and requeues them; each job brings one run to its end as the local worker does (`cluster_job`). The
folders of ``training.yaml`` lie where all nodes see them.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from core.errors import ConfigInvalid, RetryLater
from runtime.child import PYTHON
from training.runs.records import RunFolder
from training.settings import TrainingSettings

GRACE_S = 120
"""SLURM tells a job so long before its time is over, for the epoch to end and be saved."""
_TIMEOUT_S = 60.0


def submit(settings: TrainingSettings, config: Path, runs: Sequence[RunFolder]) -> str:
    """Queue some runs as one job array, and return its ID.

    Parameters
    ----------
    config
        The ``training.yaml``, where all nodes see it.
    runs
        Of as many devices each.

    Raises
    ------
    ConfigInvalid
        If SLURM is not installed, or refuses the job; its own words say why.
    RetryLater
        If the controller does not answer.
    """
    options = settings.sbatch
    minutes = max(1, round(60 * options.hours))
    given = [
        "--parsable",
        "--requeue",
        "--open-mode=append",
        f"--array=0-{len(runs) - 1}",
        f"--job-name={runs[0].request().dataset}",
        f"--output={settings.folders.queue / 'slurm-%A_%a.log'}",
        f"--time={minutes}",
        f"--cpus-per-task={options.cpus}",
        f"--mem={round(options.memory_gb * 1024)}M",
        f"--signal=B:TERM@{min(GRACE_S, minutes * 30)}",
        f"--nice={runs[0].request().priority}",
    ]
    given += [f"--partition={options.partition}"] if options.partition else []
    given += [f"--account={options.account}"] if options.account else []
    gpus = options.gpu_option
    given += [gpus.format(gpus=runs[0].request().devices)] if gpus else []
    words = [*PYTHON, "training.runs.cluster_job", str(config.absolute()), *(run.key for run in runs)]
    script = "#!/bin/sh\nexec " + " ".join(_quoted(word) for word in words) + "\n"
    job = _run(["sbatch", *given, *options.options], script).strip().partition(";")[0]
    for number, run in enumerate(runs):
        run.change(job=f"{job}_{number}")
    return job


def requeue(job: str) -> None:
    """Have SLURM run a job again; of an array its ID names the task, since the array's own would name all of them."""
    _run(["scontrol", "requeue", job])


def cancel(job: str) -> None:
    """Take a job that waits out of the queue."""
    _run(["scancel", "--state=PENDING", job])


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def _run(command: Sequence[str], script: str | None = None) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - a program of SLURM's, its words in a list
            command, input=script, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        remedy = "install SLURM's client programs here, or set launcher: local"
        raise ConfigInvalid(f"launcher: slurm: there is no program {command[0]}; {remedy}") from error
    except subprocess.TimeoutExpired as error:
        raise RetryLater(f"SLURM does not answer {command[0]} within {_TIMEOUT_S:g} s; try again later") from error
    if done.returncode != 0:
        raise ConfigInvalid(f"SLURM refuses: {done.stderr.strip()}; correct slurm: in training.yaml")
    return done.stdout
