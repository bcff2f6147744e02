"""Training of a task's phantom model by nnU-Net itself.

``python -m training.recipes.tasks vessel --work DIR --minutes 6``

The script makes the patients (``training.recipes.made_patients``), lets nnU-Net preprocess and train its own trainer
on them, and exports a results folder for ``segnode models add``, with the case list beside the weights. No data is
needed. The models are for demonstration on made patients, not for clinical use: no network here has seen a person.
"""

import logging
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from training.recipes.made_patients import TRAINED_FROM, MadePatient, sha256_of
from training.recipes.nnunet import (
    Schedule,
    describe_dataset,
    export,
    preprocess,
    set_nnunet_folders,
    train,
    write_case,
)
from training.recipes.task_recipes import RECIPES, Recipe

log = logging.getLogger(__name__)


class Task(StrEnum):
    """The tasks of the service."""

    TOTALSEG = "totalseg"
    VESSEL = "vessel"
    URETER = "ureter"
    TUMOR = "tumor"


class Stage(StrEnum):
    """The parts of the work."""

    ALL = "all"
    PREPARE = "prepare"
    TRAIN = "train"
    EXPORT = "export"


def case_entry(name: str, patient: MadePatient, validates: bool) -> dict[str, Any]:
    """Build the entry of a case in the case list, without its hashes."""
    return {"name": name, "use": "validation" if validates else "training", "patient": asdict(patient)}


def write_raw(task: Task, recipe: Recipe, work: Path) -> None:
    """Make every patient of a recipe and write them as nnU-Net's raw data set."""
    cases: list[dict[str, Any]] = []
    drawn = {}
    for name, patient, validates in recipe.patients():
        phantoms = [patient.phantom(channel) for channel in range(len(recipe.channels))]
        images = [patient.image(channel, phantom) for channel, phantom in enumerate(phantoms)]
        truth = recipe.truth(phantoms[0])
        log.info("%s %s", name, truth.shape)
        write_case(recipe.dataset, work, name, images, truth, patient.spacing)
        drawn[name] = 0 if validates else recipe.emphasis.get(patient.phases[0], 1)
        hashes = {"labels_sha256": sha256_of(truth), "images_sha256": [sha256_of(p.array) for p in phantoms]}
        cases.append(case_entry(name, patient, validates) | hashes)
    description = f"segnode {task}: made patients. For demonstration, not for clinical use."
    held_out = f"every seed below {TRAINED_FROM}"
    case_list = {"source": "phantom", "held_out": held_out, "cases": cases}
    describe_dataset(recipe.dataset, work, description, recipe.channels, recipe.values, drawn, case_list)


def main(
    task: Annotated[Task, typer.Argument(help="The task to train.")],
    work: Annotated[Path, typer.Option(help="Folder for nnU-Net's raw, preprocessed and results folders.")],
    minutes: Annotated[float, typer.Option(help="Minutes of computing to train for, after preprocessing.")] = 6.0,
    stage: Annotated[Stage, typer.Option(help="Which part of the work.")] = Stage.ALL,
    weights: Annotated[Path | None, typer.Option(help="Checkpoint of an earlier round to go on from.")] = None,
    rate: Annotated[float, typer.Option(help="First learning rate; 0.003 where only a little is to change.")] = 1e-2,
    keep_statistics: Annotated[bool, typer.Option(help="Keep those of the weights' batch normalization.")] = False,
    threads: int = 1,
    device: str = "cpu",
) -> None:
    """Train the phantom model of one task."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = RECIPES[task]
    set_nnunet_folders(work)
    if stage in (Stage.ALL, Stage.PREPARE):
        write_raw(task, recipe, work)
        preprocess(recipe.dataset, recipe.network, work, threads)
    if stage in (Stage.ALL, Stage.TRAIN):
        train(
            recipe.dataset,
            work,
            Schedule(minutes=minutes, weights=weights, rate=rate, keep_statistics=keep_statistics),
            threads,
            device,
        )
    if stage in (Stage.ALL, Stage.EXPORT):
        log.info("exported to %s", export(recipe.dataset, work, work / "export"))


if __name__ == "__main__":
    typer.run(main)
