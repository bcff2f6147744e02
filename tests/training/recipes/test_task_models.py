"""The shipped phantom models on made patients that they have not seen, by the engine, against the phantom's truth."""

from pathlib import Path

import numpy as np
import pytest

from phantom import Phase, trunk_geometry
from segmentation.importing.snomed_codes import ABNORMAL, ANATOMY, TISSUE
from segmentation.inference.engine import Engine
from segmentation.package.package import Package, load_package
from training.recipes.evaluate_tasks import OTHER_TARGET, TARGETS, make_held_out, scores
from training.recipes.task_recipes import RECIPES
from training.recipes.tasks import Task

pytestmark = pytest.mark.slow

MODELS = Path(__file__).parents[3] / "models"
Triple = tuple[float, float, float]

# A seed that no other measure of these models uses; just large enough to show every label.
GRIDS: dict[Task, tuple[Triple, Triple, float]] = {
    Task.TOTALSEG: ((3.0, 2.5, 2.5), (480.0, 280.0, 380.0), 20.0),
    Task.VESSEL: ((2.0, 2.0, 2.0), (160.0, 160.0, 240.0), -20.0),
    Task.URETER: ((1.4, 1.4, 1.4), (120.0, 120.0, 220.0), -60.0),
    Task.TUMOR: ((2.0, 2.0, 2.0), (150.0, 140.0, 240.0), -30.0),
}
NOT_FOUND = {("bladder", "D")}
"""Labels that a model does not find in a phase: the organs' network takes a bladder full of contrast for bone."""
CASES = [(task, phases) for task in GRIDS for phases in RECIPES[task].phases]
SEED = 640


def package_of(task: Task) -> Package:
    return load_package(MODELS / f"{task}-phantom")


@pytest.mark.parametrize(("task", "phases"), CASES)
def test_dice_on_a_patient_that_no_training_saw(task: Task, phases: tuple[Phase, ...]) -> None:
    recipe, (spacing, extent, height) = RECIPES[task], GRIDS[task]
    patient = make_held_out(SEED, phases, trunk_geometry(spacing, extent=extent, centre=(0.0, 15.0, height)))
    found = Engine(package_of(task).in_profile("fast"), "cpu").segment(patient.volume).label_map.array
    truth = recipe.truth(patient.phantoms[0])
    assert set(np.unique(truth)) == set(recipe.values.values())
    values = scores(found, truth, recipe)
    for name, value in ((name, value) for name, value in values.items() if (name, phases[0]) not in NOT_FOUND):
        assert value >= TARGETS.get(name, OTHER_TARGET), f"{name}: {value:.3f}"


@pytest.mark.parametrize("task", GRIDS)
def test_the_package_agrees_with_its_recipe_and_is_marked(task: Task) -> None:
    package, recipe = package_of(task), RECIPES[task]
    assert {label.name: label.value for label in package.config.labels} | {"background": 0} == recipe.values
    assert tuple(channel.name for channel in package.config.channels) == recipe.channels
    assert {label.category for label in package.config.labels} <= {ANATOMY, ABNORMAL, TISSUE}
    assert "NOT FOR CLINICAL USE" in package.config.output.series_description
    words: dict[str, Phase] = {"arterial": "A", "portal": "P", "delayed": "D"}
    for number, channel in enumerate(package.config.channels):
        assert {words[phase] for phase in channel.series.phase} == {phases[number] for phases in recipe.phases}
