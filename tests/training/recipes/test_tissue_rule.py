"""The published rule on made slices where each trap is known."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from phantom import make_phantom, trunk_geometry
from training.recipes.tissue_rule import BODY, BONE, LUNG, label_tissues

SPACING = (4.0, 2.0, 2.0)
Y, X = np.mgrid[-64:64, -100:100] * 2.0


def ellipse(x: float, y: float, half_x: float, half_y: float) -> NDArray[np.bool_]:
    return ((X - x) / half_x) ** 2 + ((Y - y) / half_y) ** 2 <= 1.0


@pytest.fixture
def trunk() -> NDArray[np.float32]:
    """Make twelve equal slices: an oval of 40 HU with two lungs, and a spine."""
    plane = np.full(X.shape, -1000.0, np.float32)
    plane[ellipse(0, 0, 160, 100)] = 40.0
    plane[ellipse(-75, -10, 50, 60)] = -820.0
    plane[ellipse(75, -10, 40, 55)] = -820.0
    plane[ellipse(0, 60, 20, 18)] = 400.0
    return np.repeat(plane[None], 12, axis=0)


def test_body_lung_and_bone_are_where_they_were_made(trunk: NDArray[np.float32]) -> None:
    labels = label_tissues(trunk, SPACING)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels[:, 54, 62], LUNG)
    np.testing.assert_array_equal(labels[:, 54, 138], LUNG)
    np.testing.assert_array_equal(labels[:, 94, 100], BONE)
    np.testing.assert_array_equal(labels[:, 64, 100], BODY)
    assert (labels[:, :10] == 0).all()
    np.testing.assert_array_equal((labels == BONE), trunk == 400.0)
    np.testing.assert_array_equal((labels == LUNG), trunk == -820.0)


def test_bowel_gas_is_body_though_it_is_large(trunk: NDArray[np.float32]) -> None:
    gas = ellipse(0, -60, 25, 25)
    trunk[:, gas] = -995.0
    labels = label_tissues(trunk, SPACING)
    assert gas.sum() * 12 * np.prod(SPACING) / 1000 > 20
    np.testing.assert_array_equal(labels[:, gas], BODY)


def test_a_small_dark_spot_is_body(trunk: NDArray[np.float32]) -> None:
    trunk[4:6, ellipse(0, -60, 20, 10)] = -800.0
    assert (label_tissues(trunk, SPACING)[:, ellipse(0, -60, 20, 10)] == BODY).all()


def test_a_touching_table_is_not_body(trunk: NDArray[np.float32]) -> None:
    table = (Y >= 99.0) & (Y <= 103.0) & (np.abs(X) < 180.0)
    trunk[:, table] = 100.0
    labels = label_tissues(trunk, SPACING)
    assert (labels[:, table & (np.abs(X) > 60.0)] == 0).all()
    assert (labels[:, ellipse(0, 0, 158, 96)] > 0).all()


def test_a_bone_outside_the_body_does_not_count(trunk: NDArray[np.float32]) -> None:
    arm = ellipse(185, 0, 10, 10)
    trunk[:, arm] = 500.0
    assert (label_tissues(trunk, SPACING)[:, arm] == 0).all()


def test_an_arm_beside_the_trunk_is_body_with_its_bone(trunk: NDArray[np.float32]) -> None:
    arm, shaft = (ellipse(0, 0, 26, 30), ellipse(0, 0, 8, 8))
    wide = np.pad(trunk, ((0, 0), (0, 0), (0, 40)), constant_values=-1000.0)
    at = np.s_[:, :, 140:240]  # its middle lies 190 mm to the left
    wide[at][:, arm[:, 50:150]] = 60.0
    wide[at][:, shaft[:, 50:150]] = 900.0
    labels = label_tissues(wide, SPACING)[at]
    np.testing.assert_array_equal(labels[:, shaft[:, 50:150]], BONE)
    np.testing.assert_array_equal(labels[:, (arm & ~shaft)[:, 50:150]], BODY)


def test_a_hard_shell_and_its_foam_are_not_a_limb(trunk: NDArray[np.float32]) -> None:
    wide = np.pad(trunk, ((0, 0), (0, 40), (0, 0)), constant_values=-1000.0)
    wide[:, 121:150] = -850.0
    wide[:, 119:121] = wide[:, 150:152] = 600.0
    assert not label_tissues(wide, SPACING)[:, 116:].any()


def test_the_lung_reaches_as_far_as_tissue_is_not_soft(trunk: NDArray[np.float32]) -> None:
    lung = trunk == -820.0
    rim = ndimage.binary_dilation(lung, ndimage.generate_binary_structure(2, 1)[None]) & ~lung
    trunk[rim] = -400.0
    np.testing.assert_array_equal(label_tissues(trunk, SPACING) == LUNG, lung | rim)


def test_specks_are_not_bone_and_thin_sheets_are_opened_away() -> None:
    spacing = (4.0, 1.0, 1.0)
    array = np.full((6, 80, 80), 40.0, np.float32)
    array[:, 10, 10:70] = 600.0
    array[2, 40:43, 40:43] = 600.0
    array[:, 60:70, 30:50] = 600.0
    bone = label_tissues(array, spacing) == BONE
    assert not bone[:, 10].any()
    assert not bone[:, 40:43].any()
    assert bone[:, 61:69, 31:49].all()


def test_an_empty_image_has_no_body() -> None:
    assert not label_tissues(np.full((3, 8, 8), -1000.0, np.float32), SPACING).any()


def test_the_rule_finds_the_phantoms_lungs_and_not_its_bowel_gas() -> None:
    phantom = make_phantom(trunk_geometry((5.0, 2.5, 2.5)), phase="P")
    labels = label_tissues(phantom.array, phantom.geometry.spacing)
    lung = phantom.mask("lung_right", "lung_left")
    assert 2 * (lung & (labels == LUNG)).sum() / (lung.sum() + (labels == LUNG).sum()) > 0.95
    assert (labels[phantom.mask("gas")] == LUNG).mean() < 0.01
    assert (labels[phantom.labels == 0] > 0).mean() < 0.01
