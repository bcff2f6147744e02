"""nnU-Net itself, as its users run it: files in, files out, from the untouched results folder."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import SimpleITK
import torch
from numpy.typing import NDArray

from core.volume import Volume
from tests.support.tiny_plans import plan_of


def write_images(volume: Volume, folder: Path, ending: str = ".nrrd") -> list[str]:
    """Write each channel of a volume to a file that names the case as nnU-Net requires."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for channel, array in enumerate(volume.array):
        image = SimpleITK.GetImageFromArray(array)
        image.SetSpacing(volume.geometry.spacing[::-1])
        image.SetOrigin(volume.geometry.origin)
        image.SetDirection(volume.geometry.direction.ravel().tolist())
        files.append(str(folder / f"case_{channel:04d}{ending}"))
        SimpleITK.WriteImage(image, files[-1])
    return files


def predictor(results_folder: Path, device: str = "cpu", *, otherwise: bool = False) -> Any:
    """Build nnU-Net's predictor with its defaults, loaded with nnU-Net's own (unsafe) loader.

    Parameters
    ----------
    otherwise
        On a GPU, take convolutions as cuDNN does by itself, not by trial, and keep results on the CPU: nnU-Net's
        labels are no less nnU-Net's so, but sums round apart.
    """
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    # Looking for a trainer, nnU-Net imports every module of its own, and with the transformers torchvision, whose
    # CUDA build cannot be imported beside a CPU build of torch. None of these models is a transformer.
    transformers = "nnunetv2.training.nnUNetTrainer.primus.primus_trainers"
    sys.modules.setdefault(transformers, ModuleType(transformers))
    stock = nnUNetPredictor(device=torch.device(device), allow_tqdm=False, perform_everything_on_device=not otherwise)
    torch.backends.cudnn.benchmark = device == "cuda" and not otherwise  # nnU-Net has it on
    stock.initialize_from_trained_model_folder(str(results_folder), None)
    return stock


def predict(
    results_folder: Path,
    files: Sequence[str],
    output: Path,
    previous: Path | None = None,
    *,
    probabilities: bool = False,
    step: float = 0.5,
    device: str = "cpu",
    otherwise: bool = False,
) -> NDArray[np.integer[Any]]:
    """Predict one case, without nnU-Net's worker processes; ``previous`` holds a first stage's result."""
    output.mkdir(parents=True, exist_ok=True)
    stock = predictor(results_folder, device, otherwise=otherwise)
    stock.tile_step_size = step
    stock.predict_from_files_sequential(
        [list(files)],
        [str(output / "case")],
        save_probabilities=probabilities,
        folder_with_segs_from_prev_stage=str(previous) if previous else None,
    )
    return read_mask(output)


def predict_kind(
    kind: str, source: Path, files: Sequence[str], work: Path, device: str = "cpu", *, otherwise: bool = False
) -> NDArray[np.integer[Any]]:
    """Predict with one of ``tests.support.tiny_plans.KINDS`` as a user of nnU-Net does; ``otherwise`` as above."""
    run = partial(predict, files=files, device=device, otherwise=otherwise)
    if kind == "cascade":
        run(source.with_name("nnUNetTrainer__nnUNetPlans__3d_lowres"), output=work / "lowres")
        return run(source, output=work / "out", previous=work / "lowres")
    if kind.endswith("ensemble"):
        names = [f"nnUNetTrainer__nnUNetPlans__{c}" for c in (plan_of(kind).configuration, "2d")]
        previous = None
        if kind == "cascade_ensemble":
            previous = work / "lowres"
            run(source / "nnUNetTrainer__nnUNetPlans__3d_lowres", output=previous)
        for name in names:
            stage = previous if "cascade" in name else None
            run(source / name, output=work / name, previous=stage, probabilities=True)
        return ensemble([work / name for name in names], work / "out", source / names[0])
    return run(source, output=work / "out")


def ensemble(folders: Sequence[Path], output: Path, model: Path) -> NDArray[np.integer[Any]]:
    """Average the probabilities below ``folders`` with nnU-Net's own function."""
    from nnunetv2.ensembling.ensemble import ensemble_folders

    ensemble_folders(
        [str(folder) for folder in folders],
        str(output),
        num_processes=1,
        dataset_json_file_or_dict=str(model / "dataset.json"),
        plans_json_file_or_dict=str(model / "plans.json"),
    )
    return read_mask(output)


def read_mask(folder: Path) -> NDArray[np.integer[Any]]:
    """Read the one mask that nnU-Net wrote into a folder."""
    (path,) = [p for p in folder.iterdir() if p.name.startswith("case.") and p.suffix in (".nrrd", ".mha", ".gz")]
    mask: NDArray[np.integer[Any]] = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    return mask
