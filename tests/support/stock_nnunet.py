"""nnU-Net itself, as its users run it: files in, files out, from the untouched results folder."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import SimpleITK
import torch
from numpy.typing import NDArray

from core.volume import Volume


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


def predictor(results_folder: Path) -> Any:
    """Build nnU-Net's predictor with its defaults, on the CPU, loaded with nnU-Net's own (unsafe) loader."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    # Looking for a trainer, nnU-Net imports every module of its own, and with the transformers torchvision, whose
    # CUDA build cannot be imported beside a CPU build of torch. None of these models is a transformer.
    transformers = "nnunetv2.training.nnUNetTrainer.primus.primus_trainers"
    sys.modules.setdefault(transformers, ModuleType(transformers))
    stock = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
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
) -> NDArray[np.integer[Any]]:
    """Predict one case, without nnU-Net's worker processes; ``previous`` holds a first stage's result."""
    output.mkdir(parents=True, exist_ok=True)
    stock = predictor(results_folder)
    stock.tile_step_size = step
    stock.predict_from_files_sequential(
        [list(files)],
        [str(output / "case")],
        save_probabilities=probabilities,
        folder_with_segs_from_prev_stage=str(previous) if previous else None,
    )
    return read_mask(output)


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
