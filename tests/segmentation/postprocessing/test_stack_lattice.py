"""Post-processing on irregular stacks: shares, neighbours across a shear, and depths, against grids and brute force."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from core.irregular_stack import IrregularStack
from core.label_map import LabelMap
from core.model_config import FillHoles, KeepLargest, LabelSpec, Open, PostprocessingStep, RemoveSmall, Smooth
from core.volume import Geometry
from segmentation.postprocessing.distances import deeper_than
from segmentation.postprocessing.stack_lattice import StackLattice
from segmentation.postprocessing.steps import postprocess
from tests.support.stacks import made_stack, points_of

LABELS = (LabelSpec(value=1, name="a"), LabelSpec(value=2, name="b"))


def of(geometry: Geometry) -> StackLattice:
    found = StackLattice.of(geometry)
    assert found is not None
    return found


@pytest.mark.parametrize("depth", [1.0, 3.3, 6.0])
def test_depths_of_an_even_straight_stack_equal_those_of_its_grid(depth: float) -> None:
    geometry = made_stack([2.5] * 11, in_plane=(30, 26))
    mask = np.linalg.norm(points_of(geometry) - [2, 3, 1], axis=-1) < 12
    found = of(geometry).deeper_than(mask, depth, 0)
    assert found.any()
    assert np.array_equal(found, deeper_than(mask, depth, geometry.spacing))


def test_depths_use_true_heights_and_offsets() -> None:
    geometry = made_stack([1.5] * 8 + [3.0] * 5, 20, in_plane=(40, 26), pixels=(1.0, 1.0))
    points = points_of(geometry)
    mask = np.linalg.norm(points - [2, 3, 1], axis=-1) < 11
    found = of(geometry).deeper_than(mask, 4.0, 0)
    outside = points[~mask]
    distance = np.array([np.linalg.norm(outside - point, axis=1).min() for point in points[mask]])
    sure = np.abs(distance - 4.0) > 0.5  # offsets enter to the nearest pixel
    assert np.array_equal(found[mask][sure], (distance > 4.0)[sure])


def test_a_thin_structure_across_a_shear_is_one_component() -> None:
    geometry = made_stack([5.0] * 9, 25, in_plane=(60, 20), pixels=(0.5, 0.5))
    array = np.zeros(geometry.shape, np.uint8)
    array[np.linalg.norm(points_of(geometry)[..., :2], axis=-1) < 0.8] = 1  # a vessel along the patient's axis
    array[4, 2:4, 2:4] = 1
    kept = postprocess(LabelMap(array, geometry, LABELS), [KeepLargest(step="keep_largest", labels=(1,))])
    assert not kept.array[4, 2:4, 2:4].any()
    assert (kept.array[array == 1].sum()) == array.sum() - 4


def test_components_are_measured_by_their_slices_shares() -> None:
    stack = IrregularStack(np.array([0.0, 1, 2, 3, 7, 11, 15]), np.zeros((7, 2)))
    geometry = Geometry((7, 8, 8), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3), stack)
    array = np.zeros(geometry.shape, np.uint8)
    array[0, :2, :2] = 1  # 4 mm³
    array[6, 6, 5:7] = 1  # 8 mm³
    label_map = LabelMap(array, geometry, LABELS)
    assert label_map.volumes_ml()["a"] == pytest.approx(0.012)
    kept = postprocess(label_map, [RemoveSmall(step="remove_small", labels=(1,), min_volume_mm3=7.9)])
    assert np.array_equal(np.argwhere(kept.array), [[6, 6, 5], [6, 6, 6]])
    largest = postprocess(label_map, [KeepLargest(step="keep_largest", labels=(1,))])
    assert np.array_equal(largest.array, kept.array)


def test_holes_are_measured_by_their_slices_shares_and_closed_across_a_shear() -> None:
    stack = IrregularStack(np.array([0.0, 1, 2, 3, 4, 8, 12, 16, 20]), np.arange(9.0)[:, None] * (3.0, 0.0))
    geometry = Geometry((9, 40, 20), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3), stack)
    array = np.zeros(geometry.shape, np.uint8)
    for number in range(9):  # one block in the patient: three rows less from slice to slice
        array[number, 30 - 3 * number : 38 - 3 * number, 2:18] = 1
    holes = np.zeros_like(array)
    for number in (2, 3):  # one hole of 2 x 4 mm³ through two thin slices
        holes[number, 33 - 3 * number : 35 - 3 * number, 4:6] = 1
    holes[6, 33 - 18 : 35 - 18, 10:12] = 1  # 4 voxels of 4 mm³
    array[holes > 0] = 0
    label_map = LabelMap(array, geometry, LABELS)
    small = postprocess(label_map, [FillHoles(step="fill_holes", labels=(1,), max_volume_mm3=8.1)]).array
    assert small[2:4].sum() == 2 * 8 * 16
    assert np.array_equal(small[6], array[6])
    every = postprocess(label_map, [FillHoles(step="fill_holes", labels=(1,))]).array
    assert np.array_equal(every, np.where(holes > 0, 1, array))


STEPS: dict[str, PostprocessingStep] = {
    "keep_largest": KeepLargest(step="keep_largest", components=2),
    "remove_small": RemoveSmall(step="remove_small", min_volume_mm3=200),
    "fill_holes": FillHoles(step="fill_holes", max_volume_mm3=500),
    "open": Open(step="open", radius_mm=3),
}


def test_every_step_uses_the_true_lattice_or_is_refused_by_name() -> None:
    """Straight even stacks have the results of their grids; a step beside those below is refused (``smooth``)."""
    kinds = [get_args(kind.model_fields["step"].annotation)[0] for kind in get_args(get_args(PostprocessingStep)[0])]
    assert set(kinds) == {*STEPS, "smooth"}
    stack = made_stack([2.5] * 15, in_plane=(40, 36))
    grid = replace(stack, stack=None)
    noise = gaussian_filter(np.random.default_rng(1).normal(size=stack.shape), 1.6)
    array = np.digitize(noise, np.quantile(noise, [0.15, 0.8])).astype(np.uint8)
    for kind, step in STEPS.items():
        expected = postprocess(LabelMap(array, grid, LABELS), [step]).array
        assert (expected != array).any(), kind
        assert np.array_equal(postprocess(LabelMap(array, stack, LABELS), [step]).array, expected), kind


def test_opening_removes_a_thin_rim_under_tilt() -> None:
    geometry = made_stack([2.5] * 15, -18.5, in_plane=(60, 50), pixels=(1.0, 1.0))
    points = points_of(geometry)
    ball, rim = np.linalg.norm(points, axis=-1) < 14, np.abs(points[..., 1] - 20) < 1.5
    array = np.where(ball, 1, np.where(rim, 1, 0)).astype(np.uint8)
    opened = postprocess(LabelMap(array, geometry, LABELS), [Open(step="open", labels=(1,), radius_mm=5)]).array
    assert not opened[rim & ~ball].any()
    assert opened[ball].mean() > 0.94


def test_smoothing_of_an_irregular_stack_is_an_error_of_the_caller() -> None:
    geometry = made_stack([2.5] * 5, 10)
    label_map = LabelMap(np.zeros(geometry.shape, np.uint8), geometry, LABELS)
    with pytest.raises(ValueError, match="regular grid"):
        postprocess(label_map, [Smooth(step="smooth", sigma_mm=1)])


def test_labels_are_aligned_and_put_back_unchanged() -> None:
    geometry = made_stack([2.5] * 9, 18.5, sideways=-0.2)
    array = np.random.default_rng(0).integers(0, 3, geometry.shape).astype(np.uint8)
    lattice = of(geometry)
    back = np.zeros_like(array)
    lattice.put_back(lattice.aligned(array), back)
    assert np.array_equal(back, array)
    assert StackLattice.of(replace(geometry, stack=None)) is None
