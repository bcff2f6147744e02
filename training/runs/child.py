"""The process of one run: ``python -m training.runs.child RUN_FOLDER CHECKPOINT_SECONDS``.

nnU-Net's folders are in its environment. It trains from the newest checkpoint that can be read, then validates. It ends
with its parent, whose pipe is its standard input, and takes the processes that load its data with it.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from core.errors import ConfigInvalid, PackageInvalid
from runtime.child import ParentLink
from training.folders import LOADERS, preprocessed_folder
from training.runs.checkpoints import FINAL, candidates, choose
from training.runs.ddp import on_devices, settle_on_cpu
from training.runs.memory import explain_out_of_memory
from training.runs.pretrained import load_pretrained
from training.runs.records import Ended, RunFolder, RunRequest
from training.runs.trainer import Keeping, StoppedAfterEpoch, kept_trainer

VALIDATED = Path("validation") / "summary.json"


@dataclass(frozen=True)
class Work:
    """The task of a process.

    Attributes
    ----------
    run
        The run's folder.
    checkpoint_s
        Seconds between checkpoints.
    """

    run: RunFolder
    checkpoint_s: float


def say(text: str) -> None:
    """Write a line to the run's log."""
    sys.stderr.write(f"segnode: {text}\n")
    sys.stderr.flush()


def build_trainer(request: RunRequest, keeping: Keeping) -> Any:
    """Build nnU-Net's trainer for a run, not yet initialised."""
    preprocessed = preprocessed_folder() / request.dataset
    plans = json.loads((preprocessed / f"{request.plans}.json").read_text()) | {"continue_training": False}
    description = json.loads((preprocessed / "dataset.json").read_text())
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        os.environ.setdefault(LOADERS, "1")  # one loads many times faster than a CPU trains; nnU-Net starts 12 or more
    kind = kept_trainer(request.trainer, keeping)
    trainer = kind(plans, request.configuration, request.fold, description, device=device)
    settle_on_cpu(trainer)
    if request.epochs is not None:
        trainer.num_epochs = request.epochs
    if request.iterations is not None:
        trainer.num_iterations_per_epoch = request.iterations
        trainer.num_val_iterations_per_epoch = max(1, request.iterations // 5)
    return trainer


def begin(trainer: Any, run: RunFolder, request: RunRequest) -> Path | None:
    """Initialise the networks from the newest checkpoint, from pretrained weights, or anew where nothing is lost by it.

    Returns
    -------
    Path or None
        The checkpoint that the training goes on from.

    Raises
    ------
    ConfigInvalid
        If epochs were saved and no checkpoint can be read: to begin anew would lose them in silence.
    """
    output = Path(trainer.output_folder)
    for aside in output.glob(".checkpoint_*.part"):
        aside.unlink(missing_ok=True)
    path = choose(output, say)
    progress = run.progress()
    if path is not None:
        trainer.initialize()
        trainer.load_checkpoint(str(path))
        say(f"training goes on from {path.name}, after epoch {trainer.current_epoch} of {trainer.num_epochs}")
    elif progress.saved_epoch > 0 or candidates(output):
        raise ConfigInvalid(
            f"{progress.saved_epoch} epochs were saved in {output}, and no checkpoint there can be read; bring one "
            f"back, or delete {run.path} to begin anew"
        )
    else:
        trainer.initialize()
        if request.pretrained is not None:
            load_pretrained(trainer, request.pretrained)
            say(f"its weights are those of {request.pretrained}, but for the last layers")
        say(f"training begins, with epoch 1 of {trainer.num_epochs}; no epoch was saved before")
    if trainer.local_rank == 0:
        run.write_progress(progress.model_copy(update={"starts": progress.starts + 1}))
    return path


def train(work: Work, trainer: Any, request: RunRequest) -> None:
    """Train to the last epoch, then validate; what is done is not done again."""
    output = Path(trainer.output_folder)
    checkpoint = begin(trainer, work.run, request)
    if checkpoint is None or checkpoint.name != FINAL:
        trainer.run_training()
    # Of fold "all" every case was trained on, so that its validation would say nothing.
    if request.fold != "all" and not _is_validated(output):
        _show_phase(work.run, trainer, "validation")
        trainer.perform_actual_validation(save_probabilities=True)
    _show_phase(work.run, trainer, "done")


def _is_validated(output: Path) -> bool:
    try:
        return bool(json.loads((output / VALIDATED).read_text())["foreground_mean"])
    except (OSError, ValueError, KeyError):
        return False  # it was killed while it validated


def _show_phase(run: RunFolder, trainer: Any, phase: str) -> None:
    if trainer.local_rank == 0:
        run.write_progress(run.progress().model_copy(update={"phase": phase}))


def _end_group() -> None:
    # Its loaders of data are forks, which wait for it for ever.
    os.killpg(os.getpgid(0), signal.SIGKILL)


def work_on(work: Work, request: RunRequest, is_to_stop: Callable[[], bool]) -> Ended:
    """Do the work of a process, and tell why it ends."""
    try:
        train(work, build_trainer(request, Keeping(work.run, work.checkpoint_s, is_to_stop)), request)
    except StoppedAfterEpoch:
        return Ended(why="stopped")
    except (ConfigInvalid, PackageInvalid) as error:
        return Ended(why="refused", reason=str(error))
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which may not be loaded yet
            raise
        return Ended(why="out_of_memory", reason=explain_out_of_memory(request, error))
    return Ended(why="done")


def _note(work: Work, ended: Ended) -> None:
    if ended.reason:
        say(ended.reason)
    work.run.write_ended(ended)


def work_of_rank(rank: int, is_to_stop: Callable[[], bool], work: Work, request: RunRequest) -> None:
    """Do the work of one of several processes; the first one speaks for all."""
    ended = work_on(work, request, is_to_stop)
    if rank == 0:
        _note(work, ended)


def main() -> None:
    """Entry of the process; an error that nobody foresaw goes to the log with its stack, and counts as a crash."""
    link = ParentLink(_end_group)
    work = Work(RunFolder(Path(sys.argv[1])), float(sys.argv[2]))
    request = work.run.request()
    if request.devices > 1:
        on_devices(request.devices, work_of_rank, (work, request), link)
    else:
        _note(work, work_on(work, request, partial(link.wait_for_stop, 0.0)))
    sys.stderr.flush()
    os._exit(0)  # threads of nnU-Net's loaders may outlive their use


if __name__ == "__main__":
    main()
