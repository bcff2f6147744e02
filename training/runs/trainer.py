"""nnU-Net's own trainers, with a few methods around theirs: safe checkpoints, progress on disk, an orderly stop.

The class keeps its name and its files keep their format, so stock nnU-Net reads, continues and runs what it leaves.
"""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from core.errors import ConfigInvalid
from core.yaml_problems import close_to
from segmentation.package.known_trainers import keeps_the_network
from training.runs.checkpoints import LATEST, forget_latest, write_checkpoint
from training.runs.journal import Journal, facts_of
from training.runs.records import Progress, RunFolder

if TYPE_CHECKING:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer as Trainer
else:
    Trainer = object

RECENT_EPOCHS = 20
DRAW_EVERY_S = 60.0
COMMON = ("nnUNetTrainer", "nnUNetTrainer_250epochs", "nnUNetTrainerNoMirroring", "nnUNetTrainerAdam")


class StoppedAfterEpoch(Exception):
    """Somebody asked the run to stop, and its last epoch is saved."""


@dataclass(frozen=True)
class Keeping:
    """The part of a run that the trainer needs.

    Attributes
    ----------
    run
        Folder that gets the progress.
    checkpoint_s
        Seconds between checkpoints; each is made at the end of an epoch.
    is_to_stop
        Tells at the end of an epoch whether to stop.
    """

    run: RunFolder
    checkpoint_s: float
    is_to_stop: Callable[[], bool]


class _Kept(Trainer):  # type: ignore[misc] # nnU-Net is published without types
    """Methods around those of a trainer."""

    keeping: Keeping
    _saved_at: float
    _augmentations: tuple[Any, ...] = ()

    def get_training_transforms(self, *arguments: Any, **named: Any) -> Any:
        transforms = super().get_training_transforms(*arguments, **named)
        self._augmentations = tuple(getattr(transforms, "transforms", (transforms,)))
        return transforms

    def on_train_start(self) -> None:
        super().on_train_start()
        if self.local_rank == 0:
            Journal(self.keeping.run.path).begin(facts_of(self, self._augmentations))
        self._saved_at = time.monotonic()
        self.logger.plot_progress_png = self._seldom(self.logger.plot_progress_png)
        self._report()

    def on_epoch_end(self) -> None:
        is_to_stop = self._agreed(self.keeping.is_to_stop())
        is_due = is_to_stop or time.monotonic() - self._saved_at >= self.keeping.checkpoint_s
        # nnU-Net counts epochs, of which a hospital's machine may do one in an hour, or a hundred.
        self.save_every = 1 if self._agreed(is_due) else self.num_epochs + 1
        super().on_epoch_end()
        self._report()
        if self.local_rank == 0:
            logged = self.logger.local_logger.my_fantastic_logging
            Journal(self.keeping.run.path).add(logged, self._label_names(), self.current_epoch)
        if is_to_stop and self.current_epoch < self.num_epochs:
            raise StoppedAfterEpoch

    def on_train_end(self) -> None:
        super().on_train_end()
        if self.local_rank == 0:
            forget_latest(Path(self.output_folder))

    def save_checkpoint(self, filename: str) -> None:
        if self.local_rank != 0:
            return  # of several processes the first one saves
        path = Path(filename)
        write_checkpoint(path, lambda aside: super(_Kept, self).save_checkpoint(str(aside)))
        if path.name == LATEST:
            self._saved_at = time.monotonic()
        done = self.current_epoch + 1  # which nnU-Net counts after it has saved
        self._report(epoch=done, saved_epoch=done)

    def _label_names(self) -> list[str]:
        """Name the labels or regions in the order in which nnU-Net logs their Dice."""
        values = self.label_manager.foreground_regions if self.label_manager.has_regions else None
        by_value = {
            tuple(value) if isinstance(value, list) else value: name
            for name, value in self.dataset_json["labels"].items()
        }
        return [by_value.get(one, str(one)) for one in values or self.label_manager.foreground_labels]

    def _agreed(self, mine: bool) -> bool:
        """Return the first process's answer in all processes of a run, since they go on or stop together."""
        if not self.is_ddp:
            return mine
        from torch import distributed

        answer = [mine]
        distributed.broadcast_object_list(answer, src=0)
        return bool(answer[0])

    def _seldom(self, draw: Callable[[str], None]) -> Callable[[str], None]:
        """Have the curves drawn every minute and at the end: the picture takes a second, as some epochs do."""
        drawn_at = -math.inf

        def maybe(folder: str) -> None:
            nonlocal drawn_at
            if time.monotonic() - drawn_at >= DRAW_EVERY_S or self.current_epoch + 1 >= self.num_epochs:
                draw(folder)
                drawn_at = time.monotonic()

        return maybe

    def _report(self, **changes: Any) -> None:
        if self.local_rank != 0:
            return
        kept: dict[str, list[float]] = self.logger.local_logger.my_fantastic_logging
        ends, begins = kept["epoch_end_timestamps"], kept["epoch_start_timestamps"]
        seconds = [end - begin for begin, end in zip(begins, ends, strict=False)][-RECENT_EPOCHS:]
        known = {"epoch": self.current_epoch, "epochs": self.num_epochs}
        progress = self.keeping.run.progress().model_copy(
            update={
                **known,
                "seconds_per_epoch": statistics.median(seconds) if seconds else None,
                "train_loss": _last(kept["train_losses"]),
                "validation_loss": _last(kept["val_losses"]),
                "dice": _last(kept["ema_fg_dice"]),
                **changes,
            }
        )
        self.keeping.run.write_progress(Progress.model_validate(progress.model_dump()))


def _last(values: list[float]) -> float | None:
    return float(values[-1]) if values and math.isfinite(values[-1]) else None


def kept_trainer(name: str, keeping: Keeping) -> type[Any]:
    """Return a trainer class of nnU-Net with the methods of this module around its own; it keeps its name.

    Raises
    ------
    ConfigInvalid
        If the name is not on the list of trainers that leave the network as the plans describe it.
    """
    base = find_trainer(name)
    return type(name, (_Kept, base), {"keeping": keeping, "__doc__": base.__doc__})


def check_trainer(name: str) -> None:
    """Refuse a trainer whose network a package could not build.

    Raises
    ------
    ConfigInvalid
        If the name is not on the list.
    """
    if not keeps_the_network(name):
        close = close_to(name, set(COMMON))
        remedy = f"did you mean {close}?" if close else f"take one of the list, such as {', '.join(COMMON)}"
        raise ConfigInvalid(f"--trainer {name}: not a trainer that is known to keep the plans' network; {remedy}")


def find_trainer(name: str) -> type[Any]:
    """Return one of nnU-Net's own trainer classes.

    Raises
    ------
    ConfigInvalid
        If the name is not on the list, or this nnU-Net has no such class.
    """
    check_trainer(name)
    import nnunetv2
    from nnunetv2.training.nnUNetTrainer import variants
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.find_class_by_name import recursive_find_python_class

    if name == nnUNetTrainer.__name__:
        return cast("type[Any]", nnUNetTrainer)
    # Not by nnU-Net's own search, which imports the transformers on its way, and with them torchvision.
    found = recursive_find_python_class(variants.__path__[0], name, variants.__name__, nnunetv2.__path__[0])
    if found is None:
        raise ConfigInvalid(f"--trainer {name}: this version of nnU-Net has no such trainer")
    return cast("type[Any]", found)
