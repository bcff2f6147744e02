"""Made patients under a tilted gantry: labels as near to the truth as those of the straight scan."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core.irregular_stack import IrregularStack
from core.volume import Geometry
from phantom import make_phantom
from segmentation.inference.engine import Engine
from segmentation.package.package import load_package
from tests.support.tiny_models import volume_of
from training.recipes.task_recipes import RECIPES

pytestmark = pytest.mark.slow

MODELS = Path(__file__).parents[3] / "models"
MOST_LOST = 0.01
STRUCTURES = ("kidney_right", "kidney_left", "liver", "bone")
"""Right and left are structures of their own, so that a mask on the wrong side has no Dice at all."""

SEED, CENTRE, SPACING_MM, ROWS, COLUMNS = 1, (0.0, 10.0, 0.0), 2.5, 110, 150


def stack_of(gaps: list[float], degrees: float) -> tuple[Geometry, Geometry]:
    """Build a stack as scanners take it, the patient lying straight, and the same as a sheared grid, if it is even."""
    turn = np.radians(degrees)
    cos, sin = np.cos(turn), np.sin(turn)
    direction = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    sheared = direction.copy()
    sheared[:, 2] = [0, 0, 1 / cos]  # the table moves along the patient
    heights = np.concatenate([[0.0], np.cumsum(gaps)])
    half = np.array([(COLUMNS - 1) / 2 * SPACING_MM, (ROWS - 1) / 2 * SPACING_MM, heights[-1] / 2])
    x, y, z = (np.array(CENTRE) - sheared @ half).tolist()
    offsets = np.stack([heights * np.tan(turn), np.zeros_like(heights)], axis=1)
    stack = IrregularStack(heights, offsets)
    shape, spacing = (len(heights), ROWS, COLUMNS), (stack.median_gap, SPACING_MM, SPACING_MM)
    own = None if stack.is_even and not stack.is_shifted else stack
    return Geometry(shape, spacing, (x, y, z), direction, own), Geometry(shape, spacing, (x, y, z), sheared)


def scanned(gaps: list[float], degrees: float) -> tuple[Geometry, NDArray[np.int16], NDArray[np.uint8]]:
    """Scan the patient: places, HU, and the truth of every voxel."""
    geometry, _ = stack_of(gaps, degrees)
    heights = np.concatenate([[0.0], np.cumsum(gaps)])
    least = min(gaps)
    _, even = stack_of([least] * round(heights[-1] / least), degrees)
    phantom = make_phantom(even, phase="P", seed=SEED)
    chosen = np.rint(heights / least).astype(int)  # slices farther apart are some of those
    return geometry, phantom.array[chosen], RECIPES["totalseg"].truth(phantom)[chosen]


def dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_package(MODELS / "totalseg-phantom"), "cpu")


def measured(engine: Engine, gaps: list[float], degrees: float) -> dict[str, float]:
    geometry, array, truth = scanned(gaps, degrees)
    found = engine.segment(volume_of(array.astype(np.float32)[None], geometry)).label_map.array
    values = RECIPES["totalseg"].values
    return {name: dice(found == values[name], truth == values[name]) for name in STRUCTURES}


EVEN = [3.0] * 44


@pytest.fixture(scope="module")
def straight(engine: Engine) -> dict[str, float]:
    return measured(engine, EVEN, 0)


@pytest.mark.parametrize("degrees", [-18.5, 15])
def test_dice_is_that_of_the_straight_scan(degrees: float, engine: Engine, straight: dict[str, float]) -> None:
    found = measured(engine, EVEN, degrees)
    lost = {name: straight[name] - found[name] for name in STRUCTURES}
    assert min(straight.values()) > 0.9
    assert max(lost.values()) <= MOST_LOST, lost
