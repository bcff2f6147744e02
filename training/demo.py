"""Train the demo model with nnU-Net itself: ``python -m training.demo --data ../shared/data --work DIR``.

Writes an nnU-Net v2 raw dataset, lets nnU-Net extract the fingerprint and preprocess, trains its own plain
``nnUNetTrainer`` and exports a results folder without the optimizer's state, with ``training_cases.json`` beside
the weights. For demonstration, not for clinical use.

Fifteen minutes on one shared CPU core reach the targets of ``training.evaluate`` (``--minutes 15``); a second, short
round from a copy of that checkpoint (``--stage train --weights CHECKPOINT``, then ``--stage export``) takes most of
the false lung at the skin away. One thread is the right number on a machine that others use: two wait for each other.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import SimpleITK as sitk
import typer
from numpy.typing import NDArray

from training.demo_cases import (
    Case,
    MadeCase,
    all_cases,
    case_list,
    disguise,
    made_case,
    perturb,
    read_axial,
    source_files,
)
from training.demo_plans import demo_plans
from training.tissue_rule import LABELS, label_tissues

DATASET_ID = 901
DATASET = "Dataset901_SegnodeDemo"
RESULTS = "nnUNetTrainer__nnUNetPlans__3d_fullres"
ENDING = ".nii.gz"
FREEZE_AT = 0.6
LEFT_OUT = {"MultiplicativeBrightnessTransform", "ContrastTransform", "GammaTransform"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """How long to train: so many epochs of so many iterations, or until the minutes are over.

    Where weights of an earlier round are given, training goes on from them, with their statistics frozen.
    """

    epochs: int = 50
    iterations: int = 50
    minutes: float | None = None
    weights: Path | None = None

    def share(self, epoch: int, seconds: float) -> float:
        """How much of the training is over after so many epochs and seconds, 1 at the end."""
        return epoch / self.epochs if self.minutes is None else seconds / (60.0 * self.minutes)


def set_nnunet_folders(work: Path) -> None:
    """Tell nnU-Net where its three folders are; it reads them from the environment."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (work / name).mkdir(parents=True, exist_ok=True)
        os.environ[name] = str(work / name)


def load_case(case: Case, data: Path) -> tuple[NDArray[np.float32], NDArray[np.uint8], tuple[float, float, float]]:
    """Image in HU and labels ``(slice, row, column)``, and spacing in mm, of one training case."""
    if isinstance(case.recipe, MadeCase):
        array, spacing = made_case(case.recipe)
        return array, label_tissues(array, spacing), spacing
    array, spacing = disguise(*read_axial(source_files(case.source, data)), case.recipe)
    return perturb(array, case.recipe), label_tissues(array, spacing), spacing


def write_raw(data: Path, work: Path) -> None:
    """Write the raw dataset and its split (fold 0 validates on phantoms that are not trained on)."""
    raw, preprocessed = work / "nnUNet_raw" / DATASET, work / "nnUNet_preprocessed" / DATASET
    for folder in (raw / "imagesTr", raw / "labelsTr", preprocessed):
        folder.mkdir(parents=True, exist_ok=True)
    cases = list(all_cases())
    for case in cases:
        array, labels, spacing = load_case(case, data)
        log.info("%s %s %s: %s", case.name, array.shape, spacing, np.bincount(labels.ravel(), minlength=4))
        _write(raw / "imagesTr" / f"{case.name}_0000{ENDING}", np.round(array).astype(np.int16), spacing)
        _write(raw / "labelsTr" / f"{case.name}{ENDING}", labels, spacing)
    dataset = {
        "channel_names": {"0": "CT"},
        "labels": LABELS,
        "numTraining": len(cases),
        "file_ending": ENDING,
        "overwrite_image_reader_writer": "SimpleITKIO",
        "name": "segnode demo: body, lung and bone in CT. For demonstration, not for clinical use.",
    }
    splits = [{"train": [c.name for c in cases if not c.validation], "val": [c.name for c in cases if c.validation]}]
    (raw / "dataset.json").write_text(json.dumps(dataset, indent=2))
    (preprocessed / "splits_final.json").write_text(json.dumps(splits, indent=2))
    (work / "training_cases.json").write_text(json.dumps(case_list(data), indent=1))


def _write(path: Path, array: NDArray[Any], spacing: tuple[float, float, float]) -> None:
    image: Any = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    sitk.WriteImage(image, str(path), True, compressionLevel=1)


def preprocess(work: Path, processes: int) -> None:
    """Fingerprint, plans and preprocessing, by nnU-Net."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprint_dataset, preprocess_dataset

    extract_fingerprint_dataset(DATASET_ID, num_processes=processes, check_dataset_integrity=True)
    folder = work / "nnUNet_preprocessed" / DATASET
    fingerprint = json.loads((folder / "dataset_fingerprint.json").read_text())
    (folder / "nnUNetPlans.json").write_text(json.dumps(demo_plans(DATASET, fingerprint), indent=4))
    dataset = (work / "nnUNet_raw" / DATASET / "dataset.json").read_text()
    (folder / "dataset.json").write_text(dataset)
    preprocess_dataset(DATASET_ID, configurations=("3d_fullres",), num_processes=(processes,))


def train(work: Path, schedule: Schedule, threads: int, device: str) -> None:
    """Train fold 0 with nnU-Net's own trainer, in bfloat16 autocast where the device is a CPU."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - nnU-Net's loader draws from numpy's global generator
    folder = work / "nnUNet_preprocessed" / DATASET
    plans = json.loads((folder / "nnUNetPlans.json").read_text()) | {"continue_training": False}
    dataset = json.loads((folder / "dataset.json").read_text())
    trainer = nnUNetTrainer(plans, "3d_fullres", 0, dataset, device=torch.device(device))
    trainer.num_epochs, trainer.num_iterations_per_epoch = schedule.epochs, schedule.iterations
    trainer.num_val_iterations_per_epoch = 4
    # Two patches in three are centred on a label that is drawn evenly, so that the rare lung is seen.
    trainer.oversample_foreground_percent, trainer.probabilistic_oversampling = 0.67, True
    trainer.get_training_transforms = _keep_hu(trainer.get_training_transforms)
    trainer.initial_lr = 1e-2 if schedule.weights is None else 3e-3
    trainer.save_every = 2
    trainer.initialize()
    if schedule.weights is not None:
        # Written by this very script; nnU-Net's logs in it are numpy objects.
        state = torch.load(schedule.weights, map_location=device, weights_only=False)
        trainer.network.load_state_dict(state["network_weights"])
    if device == "cpu":
        autocast_forward(trainer.network)
    _run(trainer, schedule)


def _keep_hu(training_transforms: Callable[..., Any]) -> Callable[..., Any]:
    """Leave out nnU-Net's augmentations that change brightness, contrast and gamma.

    HU are absolute: what tells lung from the air outside in a patch that shows nothing else is a tenth of the range,
    which these augmentations move by a quarter. Calibration varies in the training cases themselves.
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

    Where minutes are given, the clock ends it, with the learning rate near zero by then: on a machine that others
    use, nobody knows how many epochs an hour has. After ``FREEZE_AT`` of the training, the statistics of batch
    normalization are averaged over many batches and kept, so that the network learns with what inference will use.
    """
    import torch

    trainer.on_train_start()
    start, frozen = time.monotonic(), False
    while (share := schedule.share(trainer.current_epoch, time.monotonic() - start)) < 1.0:
        trainer.lr_scheduler.max_steps = max(1.0, trainer.current_epoch / share) if share > 0.0 else 1.0
        trainer.on_epoch_start()
        trainer.on_train_epoch_start()
        if share >= FREEZE_AT or schedule.weights is not None:
            _freeze_batch_norm(trainer, measure=not frozen and schedule.weights is None)
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
    """Stop the statistics of batch normalization from following each batch; measure them first where asked."""
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
    """Run a network's forward in bfloat16 on the CPU, which nnU-Net does not; logits come back in float32."""
    import torch

    plain = network.forward

    def forward(x: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            out = plain(x)
        return [o.float() for o in out] if isinstance(out, list | tuple) else out.float()

    network.forward = forward


def export(work: Path, target: Path, checkpoint: str = "checkpoint_final.pth") -> Path:
    """Copy a results folder to ``target`` with one checkpoint, without the optimizer's state and the log.

    Returns
    -------
    Path
        The results folder, as ``nnUNetv2_train`` would have left it but smaller.
    """
    import torch

    source, out = work / "nnUNet_results" / DATASET / RESULTS, target / RESULTS
    (out / "fold_0").mkdir(parents=True, exist_ok=True)
    for name in ("dataset.json", "plans.json"):
        (out / name).write_bytes((source / name).read_bytes())
    # The checkpoint was written by this very script; nnU-Net's logs in it are numpy objects.
    state = torch.load(source / "fold_0" / checkpoint, map_location="cpu", weights_only=False)
    state |= {"optimizer_state": None, "grad_scaler_state": None, "logging": {}, "_best_ema": None}
    state["init_args"] = {key: state["init_args"][key] for key in ("configuration", "fold")}
    torch.save(state, out / "fold_0" / "checkpoint_final.pth")
    (out / "training_cases.json").write_bytes((work / "training_cases.json").read_bytes())
    return out


def main(
    data: Annotated[Path, typer.Option(help="Folder of the real CTs.")],
    work: Annotated[Path, typer.Option(help="Folder for nnU-Net's raw, preprocessed and results folders.")],
    out: Annotated[Path | None, typer.Option(help="Default: WORK/export.")] = None,
    epochs: int = 50,
    iterations: int = 50,
    minutes: Annotated[float | None, typer.Option(help="End by the clock instead of after the epochs.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Checkpoint of an earlier round to go on from.")] = None,
    threads: int = 1,
    device: str = "cpu",
    stage: Annotated[str, typer.Option(help="all, prepare, train or export.")] = "all",
    checkpoint: str = "checkpoint_final.pth",
) -> None:
    """Train the demo model."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    set_nnunet_folders(work)
    if stage in ("all", "prepare"):
        write_raw(data, work)
        preprocess(work, threads)
    if stage in ("all", "train"):
        train(work, Schedule(epochs, iterations, minutes, weights), threads, device)
    if stage in ("all", "export"):
        log.info("exported to %s", export(work, out or work / "export", checkpoint))


if __name__ == "__main__":
    typer.run(main)
