"""Training by nnU-Net itself on a CPU: raw data set, preprocessing, its own trainer, and a results folder to ship.

The scripts of this room share this module. nnU-Net's trainer is unchanged except as ``train`` says.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from training.recipes.plans import Network, small_plans

ENDING = ".nii.gz"
FREEZE_AT = 0.6
LEFT_OUT = {"MultiplicativeBrightnessTransform", "ContrastTransform", "GammaTransform"}
CASE_LIST = "training_cases.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """An nnU-Net data set, the class of its trainer, and the optimizer (Adam, or nnU-Net's default SGD).

    In a few hundred steps SGD gives up a label that is small and has no HU of its own; Adam begins to find it.
    """

    number: int
    title: str
    trainer: str = "nnUNetTrainer"
    adam: bool = False

    @property
    def name(self) -> str:
        """Name of the data set's folders."""
        return f"Dataset{self.number}_{self.title}"

    @property
    def results(self) -> str:
        """Name of the results folder."""
        return f"{self.trainer}__nnUNetPlans__3d_fullres"


@dataclass(frozen=True)
class Schedule:
    """The length of a training: a number of epochs of a number of iterations, or minutes of computing.

    If weights of an earlier round are given, training continues from them; with ``keep_statistics``, the statistics of
    batch normalization stay theirs from the beginning. ``rate`` is the first learning rate of nnU-Net's SGD; Adam
    takes a tenth of it.
    """

    epochs: int = 50
    iterations: int = 50
    minutes: float | None = None
    weights: Path | None = None
    rate: float = 1e-2
    keep_statistics: bool = False

    def share(self, epoch: int, seconds: float) -> float:
        """Compute the fraction of the training that is over after some epochs and seconds; 1 at the end."""
        return epoch / self.epochs if self.minutes is None else seconds / (60.0 * self.minutes)


def set_nnunet_folders(work: Path) -> None:
    """Tell nnU-Net where its three folders are; it reads them from the environment."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (work / name).mkdir(parents=True, exist_ok=True)
        os.environ[name] = str(work / name)


def write_case(
    dataset: Dataset,
    work: Path,
    name: str,
    channels: Sequence[NDArray[np.float32]],
    labels: NDArray[np.uint8],
    spacing: tuple[float, float, float],
) -> None:
    """Write one training case, rounded to whole HU: channels and labels ``(slice, row, column)``, spacing in mm."""
    raw = work / "nnUNet_raw" / dataset.name
    for number, channel in enumerate(channels):
        _write(raw / "imagesTr" / f"{name}_{number:04d}{ENDING}", np.round(channel).astype(np.int16), spacing)
    _write(raw / "labelsTr" / f"{name}{ENDING}", labels, spacing)


def _write(path: Path, array: NDArray[Any], spacing: tuple[float, float, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image: Any = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    sitk.WriteImage(image, str(path), True, compressionLevel=1)


def describe_dataset(
    dataset: Dataset,
    work: Path,
    description: str,
    channels: Sequence[str],
    labels: Mapping[str, int],
    drawn: Mapping[str, int],
    case_list: Mapping[str, Any],
) -> None:
    """Write ``dataset.json``, the split and the case list, once the cases are written.

    Parameters
    ----------
    channels
        Names of the channels, in order.
    labels
        Value of each name, background included.
    drawn
        Number of times that each case, by its name, counts in fold 0's training; 0 leaves it for validation.
    case_list
        The cases that the weights are trained on; exported beside them.
    """
    content = {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": dict(labels),
        "numTraining": len(drawn),
        "file_ending": ENDING,
        "overwrite_image_reader_writer": "SimpleITKIO",
        "name": description,
    }
    split = {"train": [name for name, times in drawn.items() for _ in range(times)]}
    split |= {"val": [name for name, times in drawn.items() if times == 0]}
    preprocessed = work / "nnUNet_preprocessed" / dataset.name
    preprocessed.mkdir(parents=True, exist_ok=True)
    (work / "nnUNet_raw" / dataset.name / "dataset.json").write_text(json.dumps(content, indent=2))
    (preprocessed / "splits_final.json").write_text(json.dumps([split], indent=2))
    (work / CASE_LIST).write_text(json.dumps(case_list, indent=1))


def preprocess(dataset: Dataset, network: Network, work: Path, processes: int) -> None:
    """Let nnU-Net extract the fingerprint and preprocess; the plans are ``small_plans``."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprint_dataset, preprocess_dataset

    extract_fingerprint_dataset(dataset.number, num_processes=processes, check_dataset_integrity=True)
    folder = work / "nnUNet_preprocessed" / dataset.name
    fingerprint = json.loads((folder / "dataset_fingerprint.json").read_text())
    description = (work / "nnUNet_raw" / dataset.name / "dataset.json").read_text()
    channels = len(json.loads(description)["channel_names"])
    plans = small_plans(dataset.name, fingerprint, network, channels)
    (folder / "nnUNetPlans.json").write_text(json.dumps(plans, indent=4))
    (folder / "dataset.json").write_text(description)
    preprocess_dataset(dataset.number, configurations=("3d_fullres",), num_processes=(processes,))


def train(dataset: Dataset, work: Path, schedule: Schedule, threads: int, device: str) -> None:
    """Train fold 0 with nnU-Net's own trainer."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import (
        nnUNetTrainerNoMirroring,
    )

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - nnU-Net's loader draws from numpy's global generator
    folder = work / "nnUNet_preprocessed" / dataset.name
    plans = json.loads((folder / "nnUNetPlans.json").read_text()) | {"continue_training": False}
    description = json.loads((folder / "dataset.json").read_text())
    trainer_class = {"nnUNetTrainer": nnUNetTrainer, "nnUNetTrainerNoMirroring": nnUNetTrainerNoMirroring}
    trainer = trainer_class[dataset.trainer](plans, "3d_fullres", 0, description, device=torch.device(device))
    trainer.num_epochs, trainer.num_iterations_per_epoch = schedule.epochs, schedule.iterations
    trainer.num_val_iterations_per_epoch = 4
    # Two patches in three are centred on a label that is drawn evenly, so that the rare one is seen.
    trainer.oversample_foreground_percent, trainer.probabilistic_oversampling = 0.67, True
    trainer.get_training_transforms = _keep_hu(trainer.get_training_transforms)
    trainer.initial_lr = schedule.rate
    trainer.save_every = 2
    if dataset.adam:
        trainer.initial_lr /= 10.0
        trainer.configure_optimizers = partial(_adam, trainer)
    trainer.initialize()
    if schedule.weights is not None:
        # Written by this very script; nnU-Net's logs in it are numpy objects.
        state = torch.load(schedule.weights, map_location=device, weights_only=False)
        trainer.network.load_state_dict(state["network_weights"])
    if device == "cpu":
        # A CPU convolves a sixth faster where the channels of a voxel lie side by side.
        trainer.network.to(memory_format=torch.channels_last_3d)
    _run(trainer, schedule)


def _adam(trainer: Any) -> tuple[Any, Any]:
    """Build optimizer and schedule as ``nnUNetTrainerAdam`` does."""
    import torch
    from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler

    parameters = trainer.network.parameters()
    optimizer = torch.optim.AdamW(parameters, lr=trainer.initial_lr, weight_decay=trainer.weight_decay, amsgrad=True)
    return optimizer, PolyLRScheduler(optimizer, trainer.initial_lr, trainer.num_epochs)


def _keep_hu(training_transforms: Callable[..., Any]) -> Callable[..., Any]:
    """Leave out nnU-Net's augmentations that change brightness, contrast and gamma.

    HU are absolute: in a patch that shows nothing else, lung differs from the air outside by a tenth of the range,
    and these augmentations move values by a quarter of it. Calibration varies in the training cases themselves.
    """

    def transforms(*args: Any, **kwargs: Any) -> Any:
        composed = training_transforms(*args, **kwargs)
        names = [type(getattr(one, "transform", one)).__name__ for one in composed.transforms]
        pairs = zip(names, composed.transforms, strict=True)
        composed.transforms = [one for name, one in pairs if name not in LEFT_OUT]
        return composed

    return transforms


def _run(trainer: Any, schedule: Schedule) -> None:
    """Do what ``nnUNetTrainer.run_training`` does, with two additions.

    If minutes are given, this process's own computing time ends the training, with the learning rate near zero at the
    end: on a shared machine the number of epochs in an hour is unknown. After ``FREEZE_AT`` of the training, the
    statistics of batch normalization are averaged over many batches and kept, so that the network learns with the
    statistics that inference will use.
    """
    import torch

    trainer.on_train_start()
    start, frozen = time.process_time(), False
    while (share := schedule.share(trainer.current_epoch, time.process_time() - start)) < 1.0:
        trainer.lr_scheduler.max_steps = max(1.0, trainer.current_epoch / share) if share > 0.0 else 1.0
        trainer.on_epoch_start()
        trainer.on_train_epoch_start()
        if share >= FREEZE_AT or schedule.keep_statistics:
            _freeze_batch_norm(trainer, measure=not frozen and not schedule.keep_statistics)
            frozen = True
        steps = range(trainer.num_iterations_per_epoch)
        trainer.on_train_epoch_end([trainer.train_step(next(trainer.dataloader_train)) for _ in steps])
        with torch.no_grad():
            trainer.on_validation_epoch_start()
            steps = range(trainer.num_val_iterations_per_epoch)
            trainer.on_validation_epoch_end([trainer.validation_step(next(trainer.dataloader_val)) for _ in steps])
        trainer.on_epoch_end()
    trainer.on_train_end()


def _freeze_batch_norm(trainer: Any, *, measure: bool, batches: int = 25) -> None:
    """Stop the statistics of batch normalization from following each batch; measure them first if ``measure``."""
    import torch

    layers = [m for m in trainer.network.modules() if isinstance(m, torch.nn.BatchNorm3d)]
    if measure:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
        with torch.no_grad():
            for _ in range(batches):
                trainer.network(next(trainer.dataloader_train)["data"].to(trainer.device))
    for layer in layers:
        layer.eval()


def autocast_forward(network: Any) -> None:
    """Make a network compute in bfloat16 on the CPU, which nnU-Net does not; logits come back in float32."""
    import torch

    plain = network.forward

    def forward(x: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            out = plain(x)
        return [o.float() for o in out] if isinstance(out, list | tuple) else out.float()

    network.forward = forward


def export(dataset: Dataset, work: Path, target: Path, checkpoint: str = "checkpoint_final.pth") -> Path:
    """Copy a results folder to ``target`` with one checkpoint, without the optimizer's state and the log.

    Returns
    -------
    Path
        The results folder, as ``nnUNetv2_train`` would have written it, but smaller.
    """
    import torch

    source, out = work / "nnUNet_results" / dataset.name / dataset.results, target / dataset.results
    (out / "fold_0").mkdir(parents=True, exist_ok=True)
    for name in ("dataset.json", "plans.json"):
        (out / name).write_bytes((source / name).read_bytes())
    # The checkpoint was written by this very script; nnU-Net's logs in it are numpy objects.
    state = torch.load(source / "fold_0" / checkpoint, map_location="cpu", weights_only=False)
    state |= {"optimizer_state": None, "grad_scaler_state": None, "logging": {}, "_best_ema": None}
    state["init_args"] = {key: state["init_args"][key] for key in ("configuration", "fold")}
    torch.save(state, out / "fold_0" / "checkpoint_final.pth")
    (out / CASE_LIST).write_bytes((work / CASE_LIST).read_bytes())
    return out
