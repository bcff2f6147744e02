"""The Dice of a results folder against the rule's labels.

``python -m training.recipes.evaluate RESULTS SERIES --picture PNG``

The network runs by nnU-Net itself, without mirroring; the truth is ``training.recipes.tissue_rule`` on the same series.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from training.recipes.demo_cases import read_axial
from training.recipes.tissue_rule import LABELS, label_tissues

TARGETS = {"body": 0.95, "lung": 0.85, "bone": 0.85}
"""Lowest acceptable Dice on the held-out case."""

_COLOURS = np.array([[0, 0, 0], [70, 120, 255], [255, 60, 60], [90, 255, 90]], dtype=np.float32)


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Compute the Dice of two masks; NaN if both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / total if total else float("nan")


def predict(
    results: Path, array: NDArray[np.float32], spacing: tuple[float, float, float], checkpoint: str, threads: int
) -> NDArray[np.uint8]:
    """Run nnU-Net on one volume.

    Parameters
    ----------
    results
        An nnU-Net v2 results folder.
    array
        HU ``(channel, slice, row, column)`` in the axial order that the model was trained in.
    spacing
        Voxel spacing in mm along the last three axes.
    checkpoint
        File name in ``fold_0``.
    threads
        Number of CPU threads.
    """
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    from training.recipes.nnunet import autocast_forward

    # Looking for a trainer's variant, nnU-Net imports every module of its own, and with the transformers torchvision,
    # whose CUDA build cannot be imported beside a CPU build of torch. None of these models is a transformer.
    transformers = "nnunetv2.training.nnUNetTrainer.primus.primus_trainers"
    sys.modules.setdefault(transformers, ModuleType(transformers))
    predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(results), (0,), checkpoint)
    torch.set_num_threads(threads)
    autocast_forward(predictor.network)
    properties: dict[str, Any] = {"spacing": list(spacing)}
    return np.asarray(predictor.predict_single_npy_array(array, properties), dtype=np.uint8)


def picture(array: NDArray[np.float32], spacing: tuple[float, float, float], masks: list[NDArray[np.uint8]]) -> Any:
    """Draw three axial planes and two others, one row per mask, as a ``PIL.Image``; the head is on top."""
    from PIL import Image

    count, rows, columns = array.shape
    z, y, x = spacing
    planes: list[tuple[Any, float]] = [(np.s_[int(count * f)], y / x) for f in (0.15, 0.5, 0.85)]
    planes += [(np.s_[::-1, rows // 2], z / x), (np.s_[::-1, :, columns // 2], z / y)]
    lines = []
    for mask in masks:
        tiles = [_tile(array[cut], mask[cut], aspect) for cut, aspect in planes]
        height = max(tile.shape[0] for tile in tiles)
        lines.append(np.hstack([np.pad(t, ((0, height - t.shape[0]), (0, 4), (0, 0))) for t in tiles]))
    return Image.fromarray(np.vstack(lines))


def _tile(plane: NDArray[np.float32], labels: NDArray[np.uint8], aspect: float, width: int = 360) -> NDArray[np.uint8]:
    rows = max(1, round(width * plane.shape[0] / plane.shape[1] * aspect))
    r = np.arange(rows) * plane.shape[0] // rows
    c = np.arange(width) * plane.shape[1] // width
    grey = np.clip((plane[np.ix_(r, c)] + 1000.0) / 1600.0, 0.0, 1.0) * 255.0
    label = labels[np.ix_(r, c)]
    colour = 0.6 * grey[..., None] + 0.4 * _COLOURS[label]
    return np.asarray(np.where(label[..., None] > 0, colour, grey[..., None]), dtype=np.uint8)


def main(
    results: Annotated[Path, typer.Argument(help="nnU-Net v2 results folder of the demo model.")],
    series: Annotated[Path, typer.Argument(help="Folder of one DICOM series, or a NIfTI file.")],
    save: Annotated[Path | None, typer.Option("--picture", help="PNG: above the network, below the rule.")] = None,
    checkpoint: str = "checkpoint_final.pth",
    threads: int = 1,
) -> None:
    """Print the Dice of each label."""
    files = sorted(p for p in series.rglob("*") if p.is_file()) if series.is_dir() else [series]
    array, spacing = read_axial(files)
    truth = label_tissues(array, spacing)
    found = predict(results, array[None], spacing, checkpoint, threads)
    table = Table("label", "Dice", "wanted on the held-out case", "network ml", "rule ml")
    millilitre = float(np.prod(spacing)) / 1000.0
    for name, wanted in TARGETS.items():
        a, b = found == LABELS[name], truth == LABELS[name]
        row = (f"{dice(a, b):.4f}", f"{wanted:.2f}", f"{a.sum() * millilitre:.0f}", f"{b.sum() * millilitre:.0f}")
        table.add_row(name, *row)
    Console().print(table)
    if save is not None:
        picture(array, spacing, [found, truth]).save(save)


if __name__ == "__main__":
    typer.run(main)
