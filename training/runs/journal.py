"""The record that a training leaves of itself in the run's folder, for others to send on; no network is involved.

``epochs.jsonl`` has a line an epoch, ``training.json`` what the training process knows of itself: trainer,
augmentations, device, versions. The room `training.tracking` reads them in a process of its own, so that no
server can stop or delay a training.
"""

import json
import math
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from core.files import replace_file
from core.version import VERSION

EPOCHS = "epochs.jsonl"
FACTS = "training.json"
PACKAGES = ("nnunetv2", "torch", "numpy", "batchgeneratorsv2", "dynamic_network_architectures", "SimpleITK", "scipy")
_KEYS = {
    "train_losses": "train_loss",
    "val_losses": "validation_loss",
    "mean_fg_dice": "pseudo_dice",
    "ema_fg_dice": "pseudo_dice_moving_mean",
    "lrs": "learning_rate",
}
_NESTED = 3


def epoch_lines(logged: Mapping[str, Sequence[Any]], labels: Sequence[str], epochs: Iterable[int]) -> Iterator[str]:
    """Write some epochs of nnU-Net's own log as lines of JSON; values that are not finite are left out.

    Parameters
    ----------
    logged
        ``trainer.logger.local_logger.my_fantastic_logging``.
    labels
        Names of the labels or regions, in the order in which nnU-Net logs them.
    """
    for epoch in epochs:
        values = {name: _at(logged[key], epoch) for key, name in _KEYS.items()}
        each = logged["dice_per_class_or_region"]
        if epoch < len(each):
            values |= {f"pseudo_dice/{label}": float(v) for label, v in zip(labels, each[epoch], strict=False)}
        begin, end = (_at(logged[f"epoch_{which}_timestamps"], epoch) for which in ("start", "end"))
        if begin is not None and end is not None:
            values["seconds"] = end - begin
        finite = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
        yield json.dumps({"epoch": epoch, "when_ms": int(1000 * (end or 0.0)), "values": finite}) + "\n"


def _at(values: Sequence[Any], index: int) -> float | None:
    return float(values[index]) if index < len(values) else None


class Journal:
    """The two files of one run.

    Parameters
    ----------
    folder
        The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._epochs = folder / EPOCHS
        self._facts = folder / FACTS

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Write what the training process knows of itself."""
        replace_file(self._facts, (json.dumps(facts, indent=1) + "\n").encode())

    def add(self, logged: Mapping[str, Sequence[Any]], labels: Sequence[str], done: int) -> None:
        """Write the epoch that ended last, and those before it that are missing, since a kill came between.

        An epoch that is computed again after a kill has two lines; the later one counts.

        Parameters
        ----------
        done
            How many epochs are done.
        """
        known = {line["epoch"] for line in self.lines()}
        missing = [epoch for epoch in range(done - 1) if epoch not in known]
        with self._epochs.open("a", encoding="utf-8") as file:
            if self._is_cut():
                file.write("\n")  # a line that was cut off by a kill stays one that nobody reads
            file.writelines(epoch_lines(logged, labels, [*missing, done - 1]))

    def lines(self) -> list[dict[str, Any]]:
        """Read the epochs, in the order in which they were written; a line that was cut off is left out."""
        return [line for line, _ in self.lines_from(0)]

    def lines_from(self, offset: int) -> list[tuple[dict[str, Any], int]]:
        """Read whole lines from a place in the file on, each with the place after it."""
        found: list[tuple[dict[str, Any], int]] = []
        if not self._epochs.exists():
            return found
        with self._epochs.open("rb") as file:
            file.seek(offset)
            for line in file:
                offset += len(line)
                if not line.endswith(b"\n"):
                    break
                try:
                    found.append((json.loads(line), offset))
                except ValueError:
                    continue
        return found

    def facts(self) -> dict[str, Any]:
        """Read what the training process wrote of itself; nothing before it began."""
        try:
            content: dict[str, Any] = json.loads(self._facts.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return content

    def _is_cut(self) -> bool:
        with self._epochs.open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"


def facts_of(trainer: Any, augmentations: Sequence[Any]) -> dict[str, Any]:
    """Describe a trainer that is about to begin: class, settings, augmentations, device, versions.

    Parameters
    ----------
    augmentations
        The transforms of its training cases, in order.
    """
    import torch

    on_gpu = trainer.device.type == "cuda"
    configuration = trainer.configuration_manager
    return {
        "trainer": type(trainer).__name__,
        "epochs": trainer.num_epochs,
        "iterations": trainer.num_iterations_per_epoch,
        "validation_iterations": trainer.num_val_iterations_per_epoch,
        "initial_learning_rate": float(trainer.initial_lr),
        "weight_decay": float(trainer.weight_decay),
        "oversample_foreground": float(trainer.oversample_foreground_percent),
        "deep_supervision": bool(trainer.enable_deep_supervision),
        "batch_size": int(configuration.batch_size),
        "patch_size": [int(size) for size in configuration.patch_size],
        "spacing": [float(step) for step in configuration.spacing],
        "mirror_axes": list(trainer.inference_allowed_mirroring_axes or ()),
        "augmentations": [described(one) for one in augmentations],
        "device": torch.cuda.get_device_name(trainer.device) if on_gpu else f"cpu ({platform.machine()})",
        "environment": environment(),
    }


def environment() -> dict[str, str]:
    """Return versions of the program, of Python and of what computes; of the machine only its kind."""
    found = {"segnode": VERSION, "python": platform.python_version(), "system": platform.system()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def described(thing: Any, depth: int = 0) -> Any:
    """Return a transform, or a parameter of one, in words and numbers: no address, nothing of the machine."""
    if thing is None or isinstance(thing, bool | int | float | str):
        return thing
    if isinstance(thing, list | tuple | set | frozenset):
        return [described(one, depth + 1) for one in thing] if depth <= _NESTED else type(thing).__name__
    name = getattr(thing, "__name__", type(thing).__name__)
    inner = {key: value for key, value in getattr(thing, "__dict__", {}).items() if not key.startswith("_")}
    if (callable(thing) and not inner) or depth > _NESTED:
        return name
    return {name: {key: described(value, depth + 1) for key, value in inner.items()}}
