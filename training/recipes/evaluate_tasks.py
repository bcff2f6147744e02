"""The Dice of a task's model on made patients that it has not seen, by nnU-Net itself and by this project's engine.

``python -m training.recipes.evaluate_tasks vessel --results RESULTS --package models/vessel-phantom``
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from core.volume import Geometry, Volume
from phantom import Phantom, Phase, make_phantom, trunk_geometry
from segmentation.inference.engine import Engine
from segmentation.package.package import load_package
from training.recipes.evaluate import dice, predict
from training.recipes.task_recipes import RECIPES, Recipe
from training.recipes.tasks import Task

TARGETS = dict.fromkeys(("kidney", "kidney_right", "kidney_left", "tumour", "artery", "vein"), 0.85) | {"ureter": 0.80}
"""Lowest acceptable Dice on a held-out patient; for any other label 0.80."""
OTHER_TARGET = 0.80

HELD_OUT_SEEDS = (3, 41, 500, 777)
_USUAL_SPACINGS = ((1.4, 1.4, 1.4), (2.0, 2.0, 2.0), (2.0, 1.2, 1.2), (1.3, 1.3, 1.3))
_SPACINGS = {
    Task.TOTALSEG: ((2.0, 2.0, 2.0), (2.0, 1.6, 1.6)) * 2,
    Task.URETER: ((1.4, 1.4, 1.4), (1.3, 1.3, 1.3)) * 2,
}


@dataclass(frozen=True)
class HeldOut:
    """A phantom as its seed makes it, in every channel's phase on one grid."""

    phantoms: tuple[Phantom, ...]

    @property
    def volume(self) -> Volume:
        """The channels as the engine's input."""
        channels = np.stack([phantom.array for phantom in self.phantoms]).astype(np.float32)
        geometry, slices = self.phantoms[0].geometry, self.phantoms[0].geometry.shape[0]
        return Volume(channels, geometry, ("",) * slices, (1,) * slices, ("",) * len(channels), "")


def make_held_out(seed: int, phases: tuple[Phase, ...], geometry: Geometry) -> HeldOut:
    """Make a patient in every channel's phase."""
    return HeldOut(tuple(make_phantom(geometry, phase=phase, seed=seed) for phase in phases))


def held_out_scans(task: Task, recipe: Recipe) -> Iterator[tuple[int, tuple[Phase, ...], Geometry]]:
    """Yield seed, phases and grid of each scan: four patients, in every phase that the task knows.

    The organs are measured on the whole trunk, the ureter on grids where it is at least 4 voxels wide.
    """
    extent, height = ((480.0, 280.0, 380.0), 20.0) if task is Task.TOTALSEG else ((220.0, 260.0, 340.0), -40.0)
    for seed, spacing in zip(HELD_OUT_SEEDS, _SPACINGS.get(task, _USUAL_SPACINGS), strict=True):
        for phases in recipe.phases:
            yield seed, phases, trunk_geometry(spacing, extent=extent, centre=(0.0, 15.0, height))


def scores(found: NDArray[Any], truth: NDArray[np.uint8], recipe: Recipe) -> dict[str, float]:
    """Compute the Dice of each label."""
    return {name: dice(found == value, truth == value) for name, value in recipe.values.items() if value}


def main(
    task: Annotated[Task, typer.Argument(help="The task.")],
    results: Annotated[Path | None, typer.Option(help="nnU-Net results folder.")] = None,
    package: Annotated[Path | None, typer.Option(help="Model package.")] = None,
    threads: int = 1,
) -> None:
    """Print the Dice of each label on the held-out patients."""
    recipe = RECIPES[task]
    engine = Engine(load_package(package), "cpu") if package else None
    table = Table("seed", "phases", "spacing", "by", *(name for name in recipe.labels))
    for scan in held_out_scans(task, recipe):
        patient = make_held_out(*scan)
        first, truth = patient.phantoms[0], recipe.truth(patient.phantoms[0])
        found: dict[str, NDArray[Any]] = {}
        if results:
            array = patient.volume.array
            found["nnU-Net"] = predict(results, array, first.geometry.spacing, "checkpoint_final.pth", threads)
        if engine:
            found["engine"] = engine.segment(patient.volume).label_map.array
        for by, labels in found.items():
            row = [f"{value:.3f}" for value in scores(labels, truth, recipe).values()]
            table.add_row(
                str(first.seed), str([p.phase for p in patient.phantoms]), str(first.geometry.spacing), by, *row
            )
    wanted = [f"{TARGETS.get(name, OTHER_TARGET):.2f}" for name in recipe.labels]
    table.add_row("", "", "", "wanted", *wanted)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
