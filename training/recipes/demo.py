"""The training of the demo model by nnU-Net itself.

``python -m training.recipes.demo --data ../shared/data --work DIR``

The script writes an nnU-Net v2 raw data set, lets nnU-Net extract the fingerprint and preprocess, trains its own plain
``nnUNetTrainer`` and exports a results folder without the optimizer's state, with ``training_cases.json`` beside
the weights. The model is for demonstration, not for clinical use.

The shipped weights are older than these cases: they were trained on the cases listed beside them, fifteen minutes on
one CPU core and a second, short round from that checkpoint (``--stage train --weights CHECKPOINT``, then ``--stage
export``). They know nothing of contrast medium. One thread is the right number on a machine that others use: two wait
for each other.
"""

import logging
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from training.recipes.demo_cases import all_cases, case_list, load_case
from training.recipes.nnunet import (
    Dataset,
    Schedule,
    describe_dataset,
    export,
    preprocess,
    set_nnunet_folders,
    train,
    write_case,
)
from training.recipes.plans import Network
from training.recipes.tissue_rule import LABELS

DATASET = Dataset(901, "SegnodeDemo")
NETWORK = Network(
    spacing_mm=(3.0, 1.5, 1.5),
    patch=(32, 48, 48),
    batch=4,
    features=(16, 32, 64, 128),
    image_spacing_mm=(3.27, 0.98, 0.98),
    image_shape=(56, 202, 198),
    resampled_shape=(60.0, 200.0, 240.0),
    intensities={
        "percentile_00_5": -962.0,
        "percentile_99_5": 632.0,
        "mean": -35.936344146728516,
        "std": 223.07061767578125,
    },
)

log = logging.getLogger(__name__)


def write_raw(data: Path, work: Path) -> None:
    """Write the raw data set and its split (fold 0 validates on phantoms that are not trained on)."""
    cases = list(all_cases())
    for case in cases:
        array, labels, spacing = load_case(case, data)
        log.info("%s %s %s: %s", case.name, array.shape, spacing, np.bincount(labels.ravel(), minlength=4))
        write_case(DATASET, work, case.name, [array], labels, spacing)
    describe_dataset(
        DATASET,
        work,
        "segnode demo: body, lung and bone in CT. For demonstration, not for clinical use.",
        ["CT"],
        LABELS,
        {case.name: int(not case.validation) for case in cases},
        case_list(data),
    )


def main(
    data: Annotated[Path, typer.Option(help="Folder of the real CTs.")],
    work: Annotated[Path, typer.Option(help="Folder for nnU-Net's raw, preprocessed and results folders.")],
    out: Annotated[Path | None, typer.Option(help="Default: WORK/export.")] = None,
    epochs: int = 50,
    iterations: int = 50,
    minutes: Annotated[float | None, typer.Option(help="End by minutes of computing instead.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Checkpoint of an earlier round to go on from.")] = None,
    rate: Annotated[float, typer.Option(help="First learning rate; 0.003 where only a little is to change.")] = 1e-2,
    keep_statistics: Annotated[bool, typer.Option(help="Keep those of the weights' batch normalization.")] = False,
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
        preprocess(DATASET, NETWORK, work, threads)
    if stage in ("all", "train"):
        train(DATASET, work, Schedule(epochs, iterations, minutes, weights, rate, keep_statistics), threads, device)
    if stage in ("all", "export"):
        log.info("exported to %s", export(DATASET, work, out or work / "export", checkpoint))


if __name__ == "__main__":
    typer.run(main)
