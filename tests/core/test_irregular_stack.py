"""Places of slices that form no grid: positions there and back, shares along the normal, and what counts as one."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from core.irregular_stack import IrregularStack
from core.volume import Geometry

TURN = Rotation.from_euler("xyz", [20, 35, -50], degrees=True).as_matrix()
HEIGHTS = np.concatenate([[0.0], np.cumsum([2.5] * 4 + [5.0] * 3)])
SLOPE = np.array([-0.3, 0.1])


def made(heights: np.ndarray = HEIGHTS, slope: np.ndarray = SLOPE) -> Geometry:
    stack = IrregularStack(heights, heights[:, None] * slope)
    return Geometry((len(heights), 6, 7), (stack.median_gap, 0.5, 0.8), (-10.0, 20.0, 5.0), TURN, stack)


def test_positions_equal_those_of_each_slice_as_a_grid_of_its_own() -> None:
    geometry = made()
    for number, (height, offset) in enumerate(zip(geometry.stack.heights, geometry.stack.offsets, strict=True)):  # type: ignore[union-attr]
        origin = geometry.origin + TURN @ [offset[1], offset[0], height]
        alone = Geometry((1, 6, 7), geometry.spacing, tuple(origin), TURN)  # type: ignore[arg-type]  # three values
        index = np.moveaxis(np.indices((1, 6, 7)), 0, -1).astype(float)
        expected = alone.index_to_lps(index)
        index[..., 0] = number
        np.testing.assert_allclose(geometry.index_to_lps(index), expected, atol=1e-12)
    np.testing.assert_allclose(geometry.slice_positions[3], geometry.index_to_lps([3, 0, 0]))


@pytest.mark.parametrize("regular", [True, False], ids=["grid", "stack"])
def test_positions_lead_back_to_their_indices(regular: bool) -> None:
    geometry = replace(made(), stack=None) if regular else made()
    index = np.random.default_rng(0).uniform(-2, 9, (200, 3))
    np.testing.assert_allclose(geometry.lps_to_index(geometry.index_to_lps(index)), index, atol=1e-12)


def test_an_even_straight_stack_has_the_positions_of_a_grid() -> None:
    heights = 2.5 * np.arange(8)
    stack, grid = made(heights, np.zeros(2)), replace(made(heights, np.zeros(2)), stack=None)
    index = np.random.default_rng(0).uniform(0, 6, (50, 3))
    np.testing.assert_allclose(stack.index_to_lps(index), grid.index_to_lps(index), atol=1e-12)
    assert stack.same_grid(grid)
    np.testing.assert_allclose(stack.slice_volumes_mm3, grid.slice_volumes_mm3)


def test_each_slice_stands_for_half_the_distance_to_both_neighbours() -> None:
    geometry = made()
    assert geometry.stack is not None
    np.testing.assert_allclose(geometry.stack.shares, [2.5, 2.5, 2.5, 2.5, 3.75, 5, 5, 5])
    np.testing.assert_allclose(geometry.slice_volumes_mm3, geometry.stack.shares * 0.4)
    assert geometry.spacing[0] == 2.5


def test_an_irregular_stack_refuses_what_only_a_grid_has() -> None:
    for name in ("affine", "voxel_volume_mm3"):
        with pytest.raises(ValueError, match="irregular stack"):
            getattr(made(), name)


def test_stacks_differ_by_the_place_of_any_slice() -> None:
    geometry = made()
    moved = HEIGHTS.copy()
    moved[3] += 0.1
    assert geometry.same_grid(made())
    assert not geometry.same_grid(made(moved))
    assert not geometry.same_grid(replace(geometry, stack=None))
    assert not geometry.same_grid(made(slope=SLOPE * 1.01))


@pytest.mark.parametrize("heights", [[0.0], [1.0, 2.0], [0.0, 2.0, 2.0], [0.0, -1.0]])
def test_heights_must_ascend_from_zero(heights: list[float]) -> None:
    with pytest.raises(ValueError, match="slices"):
        IrregularStack(np.array(heights), np.zeros((len(heights), 2)))
    with pytest.raises(ValueError, match="8 slices"):
        replace(made(), shape=(8, 6, 7), stack=IrregularStack(np.array([0.0, 1.0]), np.zeros((2, 2))))
