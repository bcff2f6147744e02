"""A disguise changes the part of an image that it names, and nothing else."""

import numpy as np
import pytest

from phantom import make_phantom, trunk_geometry
from training.recipes.disguises import Disguise, average, brighten, lay_on_table, scan
from training.recipes.organ_masks import masks_of_phantom

SPACING = (6.0, 3.0, 3.0)


@pytest.fixture(scope="module")
def native() -> tuple[np.ndarray, np.ndarray]:
    """Image and labels of a made abdomen without contrast medium and without a table."""
    phantom = make_phantom(trunk_geometry(SPACING, extent=(300.0, 290.0, 380.0), centre=(0, 10, -110)), seed=2)
    return phantom.array.astype(np.float32), phantom.labels


def test_thick_slices_are_averages() -> None:
    array = np.arange(7, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32)
    thick, spacing = average(array, (2.0, 1.0, 1.0), 1, 3)
    np.testing.assert_array_equal(thick[:, 0, 0], [2.0, 5.0])
    assert spacing == (6.0, 1.0, 1.0)


def test_contrast_medium_brightens_its_organ_alone(native: tuple[np.ndarray, np.ndarray]) -> None:
    array, labels = native
    masks = masks_of_phantom(labels)
    bright = brighten(array, SPACING, masks, {"kidney": 250.0, "bladder": 600.0}, 5)
    assert np.median(bright[masks.organs["kidney"]]) == pytest.approx(250.0, abs=15.0)
    assert np.median(bright[masks.organs["bladder"] & (labels == 15)]) == pytest.approx(600.0, abs=30.0)
    far = labels == 0
    np.testing.assert_array_equal(bright[far], array[far])
    assert np.std(bright[masks.organs["kidney"]]) > 5.0


def test_gas_in_the_bowel_stays_gas(native: tuple[np.ndarray, np.ndarray]) -> None:
    array, labels = native
    bright = brighten(array, SPACING, masks_of_phantom(labels), {"bowel": 700.0}, 5)
    gas = array < -500.0
    np.testing.assert_array_equal(bright[gas], array[gas])
    assert (bright[labels == 17] > 300.0).mean() > 0.3


@pytest.mark.parametrize("seed", [3, 11])
def test_a_table_lies_outside_the_body_at_its_back(native: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    array, labels = native
    body = labels > 0
    laid = lay_on_table(array, SPACING, body, seed)
    changed = laid != array
    assert changed.sum() > 1000
    assert not changed[body].any()
    assert np.nonzero(changed)[1].mean() > np.nonzero(body)[1].mean()


def test_another_scanner_changes_calibration_noise_and_edges() -> None:
    array = np.zeros((4, 40, 40), np.float32)
    array[:, :, 20:] = 100.0
    seen = scan(array, Disguise(scale=1.02, offset_hu=5.0))
    np.testing.assert_allclose(seen, array * 1.02 + 5.0, rtol=1e-6)
    assert np.std(scan(array, Disguise(noise_hu=10.0)) - array) == pytest.approx(10.0, rel=0.05)
    assert scan(array, Disguise(sharpness=1.0)).max() > 110.0
    assert 0.0 < scan(array, Disguise(sharpness=-1.0))[0, 20, 19] < 50.0
