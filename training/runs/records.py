"""The folder of a run in the queue: what was asked for, how it stands, how far it is; JSON that a person can read.

::

    queue/
    └── Dataset001_Liver__nnUNetTrainer__nnUNetPlans__3d_fullres__fold_0/
        ├── request.json    what was asked for; never changed
        ├── state.json      how it stands (`RunState`)
        ├── progress.json   its epochs, written by the training itself
        ├── ended.json      why the last process ended, where it knew why
        ├── stop            somebody asked it to stop
        └── log.txt         all that nnU-Net printed, over all processes

Checkpoints lie where nnU-Net puts them, so that stock nnU-Net reads them.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError

from core.errors import ConfigInvalid
from core.file_locks import locked
from core.files import replace_file
from core.frozen import Frozen
from training.settings import Folders

Fold = Annotated[int, Field(ge=0, le=999)] | Literal["all"]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]


class RunRequest(Frozen):
    """One fold of one configuration, as somebody asked for it.

    Attributes
    ----------
    epochs, iterations
        Of the training; None for the trainer's own.
    pretrained
        An nnU-Net checkpoint whose weights the training begins with.
    devices
        How many devices it runs on together.
    shared
        Other runs may use the device meanwhile.
    priority
        Runs with a smaller one come first.
    """

    dataset: Word
    configuration: Word
    fold: Fold
    trainer: Word = "nnUNetTrainer"
    plans: Word = "nnUNetPlans"
    epochs: int | None = Field(default=None, ge=1, le=1_000_000)
    iterations: int | None = Field(default=None, ge=1, le=1_000_000)
    pretrained: Path | None = None
    devices: int = Field(default=1, ge=1, le=64)
    shared: bool = False
    priority: int = Field(default=100, ge=1, le=10_000)

    @property
    def model(self) -> str:
        """Name of the results folder of all folds, as nnU-Net calls it."""
        return f"{self.trainer}__{self.plans}__{self.configuration}"

    @property
    def key(self) -> str:
        """Name of the run and of its folder."""
        return f"{self.dataset}__{self.model}__fold_{self.fold}"

    def output(self, folders: Folders) -> Path:
        """Return the folder that nnU-Net writes this fold to."""
        return folders.results / self.dataset / self.model / f"fold_{self.fold}"


class State(StrEnum):
    """The state that a run has reached."""

    QUEUED = "queued"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"
    DONE = "done"

    @property
    def is_over(self) -> bool:
        """Return True if nothing more happens by itself."""
        return self in (State.STOPPED, State.FAILED, State.DONE)


class RunState(Frozen):
    """The record ``state.json``; times are seconds since 1970.

    Attributes
    ----------
    revision
        How often somebody had it resumed.
    crashes
        When its processes crashed, since it was queued.
    job
        ID of the SLURM job.
    """

    state: State
    revision: int = 0
    reason: str = ""
    crashes: tuple[float, ...] = ()
    host: str = ""
    device: str = ""
    job: str = ""
    changed: float = 0.0


class Progress(Frozen):
    """The record ``progress.json``.

    Attributes
    ----------
    epoch, epochs
        Epochs that are done, and in all.
    saved_epoch
        Epochs that the newest checkpoint holds.
    seconds_per_epoch
        Median over the last ones.
    starts
        How many processes have trained.
    """

    epoch: int = 0
    epochs: int = 0
    saved_epoch: int = 0
    seconds_per_epoch: float | None = None
    train_loss: float | None = None
    validation_loss: float | None = None
    dice: float | None = None
    starts: int = 0
    phase: Literal["training", "validation", "done"] = "training"

    @property
    def seconds_left(self) -> float | None:
        """Time that the remaining epochs take, if they take as long as the last."""
        return None if self.seconds_per_epoch is None else (self.epochs - self.epoch) * self.seconds_per_epoch


class Ended(Frozen):
    """The record ``ended.json``: why a training process ended, where it knew."""

    why: Literal["done", "stopped", "refused", "out_of_memory"]
    reason: str = ""


Record = TypeVar("Record", bound=Frozen)


class RunFolder:
    """One run's folder.

    Parameters
    ----------
    path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "log.txt"
        self._stop = path / "stop"

    @property
    def key(self) -> str:
        """Name of the run."""
        return self.path.name

    @classmethod
    def create(cls, queue: Path, request: RunRequest) -> "RunFolder":
        """Queue a new run.

        Raises
        ------
        ConfigInvalid
            If there is one already.
        """
        run = cls(queue / request.key)
        try:
            run.path.mkdir()
        except FileExistsError as error:
            known = run.state().state if (run.path / "state.json").exists() else "being made"
            remedy = "segnode train resume goes on with it; delete its folder to begin anew"
            raise ConfigInvalid(f"{request.key}: this run exists, and is {known}; {remedy}") from error
        for lock in ("lock", "working"):
            (run.path / lock).touch(mode=0o664)
        run._write("request.json", request)
        run.write_state(RunState(state=State.QUEUED))
        return run

    def request(self) -> RunRequest:
        """Read what was asked for."""
        return self._read("request.json", RunRequest)

    def state(self) -> RunState:
        """Read how it stands."""
        return self._read("state.json", RunState)

    def write_state(self, state: RunState) -> None:
        """Write how it stands."""
        self._write("state.json", state.model_copy(update={"changed": time.time()}))

    def change(self, **changes: Any) -> RunState:
        """Change some of its state, and return the whole."""
        with self.changing():
            state = self.state().model_copy(update=changes)
            self.write_state(state)
        return state

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep all others from changing the state in the block."""
        with locked(self.path / "lock"):
            yield

    def progress(self) -> Progress:
        """Read how far it is; nothing is done where nothing is written."""
        return self._read("progress.json", Progress) if (self.path / "progress.json").exists() else Progress()

    def write_progress(self, progress: Progress) -> None:
        """Write how far it is."""
        self._write("progress.json", progress)

    def take_ended(self) -> Ended | None:
        """Read why the last process ended, once."""
        path = self.path / "ended.json"
        if not path.exists():
            return None
        ended = self._read(path.name, Ended)
        path.unlink()
        return ended

    def write_ended(self, ended: Ended) -> None:
        """Write why this process ends."""
        self._write("ended.json", ended)

    @property
    def is_to_stop(self) -> bool:
        """Return whether somebody asked it to stop."""
        return self._stop.exists()

    def ask_to_stop(self, *, wanted: bool = True) -> None:
        """Ask it to stop after its present epoch, or take that back."""
        if wanted:
            self._stop.touch()
        else:
            self._stop.unlink(missing_ok=True)

    def last_lines(self, number: int) -> list[str]:
        """Return the last lines of the log."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 400 * number))
            return file.read().decode(errors="replace").splitlines()[-number:]

    def _write(self, name: str, record: Frozen) -> None:
        replace_file(self.path / name, (json.dumps(record.model_dump(mode="json"), indent=1) + "\n").encode())

    def _read(self, name: str, kind: type[Record]) -> Record:
        try:
            return kind.model_validate_json((self.path / name).read_bytes())
        except FileNotFoundError as error:
            raise ConfigInvalid(
                f"{self.key}: its folder lacks {name}; delete {self.path}, and start it anew"
            ) from error
        except ValidationError as error:
            raise ConfigInvalid(f"{self.path / name}: damaged; delete the folder, and start the run anew") from error


def runs_in(queue: Path) -> list[RunFolder]:
    """Return all runs, by name; a folder that is being made is left out."""
    return [RunFolder(path.parent) for path in sorted(queue.glob("*/state.json"))]
