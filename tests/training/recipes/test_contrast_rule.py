"""Contrast medium is told from bone where both are known: in made slices, and in phantoms of each phase."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from phantom import Phase, make_phantom, trunk_geometry
from training.recipes.contrast_rule import contrast_among
from training.recipes.organ_masks import GROUPS, TOTALSEGMENTATOR, masks_of_classes, masks_of_phantom
from training.recipes.tissue_rule import BONE, label_tissues

SPACING = (3.0, 1.0, 1.0)
Y, X = np.mgrid[-40:40, -60:60].astype(float)


def scanned(array: NDArray[np.float64]) -> NDArray[np.float32]:
    """Blur as a scanner does, and add its noise."""
    noise = np.random.default_rng(1).standard_normal(array.shape) * 12.0
    return (ndimage.gaussian_filter(array, (0.0, 0.8, 0.8)) + noise).astype(np.float32)


def tube(x: float, y: float, radius: float) -> NDArray[np.bool_]:
    return np.asarray((X - x) ** 2 + (Y - y) ** 2 <= radius**2)


@pytest.fixture
def slices() -> NDArray[np.float64]:
    """Make twenty slices of soft tissue with a long bone: cortex and marrow."""
    plane = np.full(X.shape, 50.0)
    plane[tube(-30, 0, 15)] = 900.0
    plane[tube(-30, 0, 10)] = 80.0
    return np.repeat(plane[None], 20, axis=0)


@pytest.mark.parametrize("hu", [260.0, 400.0, 700.0])
def test_a_vessel_full_of_contrast_is_found_and_the_bone_is_not(slices: NDArray[np.float64], hu: float) -> None:
    vessel, shaft = tube(25, 5, 9), tube(-30, 0, 18)
    slices[:, vessel] = hu
    array = scanned(slices)
    dense = array > 200.0
    found = contrast_among(array, dense, SPACING)
    assert (found | ~dense)[:, vessel].mean() > 0.99
    assert not found[:, shaft].any()


def test_a_vessel_that_touches_the_bone_is_found(slices: NDArray[np.float64]) -> None:
    vessel = tube(-8, 0, 8) & ~tube(-30, 0, 15)
    slices[:, vessel] = 350.0
    array = scanned(slices)
    found = contrast_among(array, array > 200.0, SPACING)
    assert found[:, ndimage.binary_erosion(vessel, iterations=2)].mean() > 0.95
    assert found[:, tube(-30, 0, 15)].mean() < 0.1


def test_an_even_end_plate_stays_bone(slices: NDArray[np.float64]) -> None:
    body, wall = tube(25, 5, 17), tube(25, 5, 17) & ~tube(25, 5, 14)
    slices[:, body] = 120.0
    slices[:, wall] = 500.0
    slices[9:11, body] = 350.0
    array = scanned(slices)
    assert not contrast_among(array, array > 200.0, SPACING)[:, body].any()


@pytest.mark.parametrize("phase", ["A", "D"])
def test_the_rule_leaves_the_phantoms_contrast_out_and_keeps_its_bone(phase: Phase) -> None:
    """Aorta, urine and bladder are above 200 HU, the last as large as a bone."""
    phantom = make_phantom(
        trunk_geometry((4.0, 2.0, 2.0), extent=(240.0, 240.0, 320.0), centre=(0, 10, -130)), phase=phase
    )
    labels = label_tissues(phantom.array.astype(np.float32), phantom.geometry.spacing)
    dense = phantom.array > 200
    bone = ndimage.binary_erosion(phantom.mask("bone"), np.ones((1, 3, 3), bool)) & dense
    bright = phantom.mask("artery" if phase == "A" else "bladder") & dense
    assert bright.sum() > 500
    assert (labels == BONE)[bright].mean() < 0.1
    assert (labels == BONE)[bone].mean() > 0.97


def test_masks_decide_where_they_are_given() -> None:
    phantom = make_phantom(
        trunk_geometry((6.0, 3.0, 3.0), extent=(200.0, 260.0, 340.0), centre=(0, 10, -100)), phase="D"
    )
    masks = masks_of_phantom(phantom.labels)
    labels = label_tissues(phantom.array.astype(np.float32), phantom.geometry.spacing, masks)
    assert not (labels == BONE)[masks.contrast].any()
    assert (labels == BONE)[masks.bone & (phantom.array > 200)].mean() > 0.95


@pytest.mark.parametrize("version", [1, 2])
def test_no_class_is_both_an_organ_and_bone(version: int) -> None:
    table = TOTALSEGMENTATOR[version]
    numbers = [number for group in table.values() for number in group]
    assert len(set(numbers)) == len(numbers)
    assert set(table) == {*GROUPS, "bone"}
    masks = masks_of_classes(np.array([[[0, table["kidney"][0], table["bone"][0]]]]), version)
    assert masks.organs["kidney"].tolist() == [[[False, True, False]]]
    assert masks.bone.tolist() == [[[False, False, True]]]
