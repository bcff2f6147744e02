"""Folders as TotalSegmentator keeps its weights, with tiny networks: random ones, or ones that know their axes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from segmentation.importing.totalsegmentator_labels import STRUCTURES
from tests.support.tiny_models import make_directional, write_results_folder
from tests.support.tiny_plans import TinyPlan

DATASETS = {
    291: "Dataset291_TotalSegmentator_part1_organs_1559subj",
    292: "Dataset292_TotalSegmentator_part2_vertebrae_1532subj",
    293: "Dataset293_TotalSegmentator_part3_cardiac_1559subj",
    294: "Dataset294_TotalSegmentator_part4_muscles_1559subj",
    295: "Dataset295_TotalSegmentator_part5_ribs_1559subj",
}
RESULTS = "nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres"


def labels_of(number: int) -> dict[str, int]:
    """Build the labels of a part's ``dataset.json``."""
    return {"background": 0, **{structure.name: structure.own for structure in STRUCTURES[number]}}


def make_totalsegmentator(
    folder: Path,
    *,
    seed: int = 0,
    reader: str = "SimpleITKIO",
    size: Mapping[str, Any] | None = None,
    **changes: Any,
) -> list[Path]:
    """Write all parts below a folder, with random weights of which each finds half of a patient; in order.

    Parameters
    ----------
    size
        Features and convolutions of the networks, as `write_results_folder` takes them; tiny unless given.
    **changes
        Fields of :class:`TinyPlan` with other values.
    """
    parts = [
        write_results_folder(
            folder / name,
            TinyPlan(
                trainer="nnUNetTrainerNoMirroring",
                reader=reader,
                labels=labels_of(number),
                mirror_axes=None,
                **changes,
            ),
            seed + number,
            **(size or {}),
        )
        for number, name in DATASETS.items()
    ]
    for part in parts:
        _raise_background(part / "fold_0" / "checkpoint_final.pth")
    return parts


def _raise_background(checkpoint: Path) -> None:
    """Raise the background; else 25 classes win as often as it does, and the last part overwrites all others."""
    content = torch.load(checkpoint, weights_only=False)
    for name, tensor in content["network_weights"].items():
        if name.startswith("decoder.seg_layers") and name.endswith("bias"):
            tensor[0] += 6.0
    torch.save(content, checkpoint)


def make_directional_parts(folder: Path) -> list[Path]:
    """Write the same with networks each of which marks the direction of rising brightness by its values 1 to 6."""
    return [
        make_directional(folder, "SimpleITKIO", dataset=name, labels=labels_of(number))
        for number, name in DATASETS.items()
    ]
