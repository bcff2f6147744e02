"""The rule by which contours become voxels, held against matplotlib's test of a point in a polygon."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as Polygon
from numpy.typing import NDArray

from core.errors import CaseCode, CaseRefused
from core.volume import Geometry
from dicom_io.annotations.contours import PlanarContour, fill, on_slice, rasterise
from tests.support.series_helpers import DIRECTIONS
from tests.support.structure_sets import circle

SHAPE = (24, 30)
GRID = Geometry((12, *SHAPE), (3.0, 1.2, 0.8), (-40.0, 20.0, 7.0), DIRECTIONS["oblique"])
CENTRES = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1).reshape(-1, 2).astype(float)


def odd_by_matplotlib(polygons: list[NDArray[np.float64]]) -> NDArray[np.bool_]:
    inside = [Polygon(np.vstack([p, p[:1]])).contains_points(CENTRES) for p in polygons]
    return np.logical_xor.reduce(inside).reshape(SHAPE)


@given(st.lists(st.tuples(st.floats(2, 21), st.floats(2, 27), st.floats(0.3, 9)), min_size=1, max_size=4))
def test_circles_are_filled_as_matplotlib_finds_points_in_them(circles: list[tuple[float, float, float]]) -> None:
    polygons = [circle(*one) + 1e-4 for one in circles]
    assert np.array_equal(fill(polygons, SHAPE), odd_by_matplotlib(polygons))


@given(st.lists(st.tuples(st.floats(-5, 28), st.floats(-5, 34)), min_size=3, max_size=12))
def test_any_simple_or_crossing_polygon_follows_the_even_odd_rule(corners: list[tuple[float, float]]) -> None:
    points = np.array(corners) + 1e-3
    crossings = np.zeros(len(CENTRES), int)
    for (r0, c0), (r1, c1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        spans = (CENTRES[:, 0] >= min(r0, r1)) & (CENTRES[:, 0] < max(r0, r1))
        with np.errstate(divide="ignore", invalid="ignore"):
            column = c0 + (CENTRES[:, 0] - r0) * (c1 - c0) / (r1 - r0)
        crossings += spans & (np.round(column, 6) <= CENTRES[:, 1])
    assert np.array_equal(fill([points], SHAPE).ravel(), crossings % 2 == 1)


def test_hole_by_an_inner_contour_and_by_a_keyhole_are_the_same() -> None:
    outer, inner = circle(12, 15, 9), circle(12, 15, 4)
    keyhole = np.vstack([outer, outer[:1], inner[::-1], inner[-1:]])
    with_hole = fill([outer, inner], SHAPE)
    assert np.array_equal(fill([keyhole], SHAPE), with_hole)
    assert not with_hole[12, 15]
    assert with_hole[12, 22]


def test_structures_that_touch_at_voxel_centres_share_none_and_leave_none() -> None:
    left = np.array([[3, 3], [3, 10], [20, 10], [20, 3]], float)
    right = np.array([[3, 10], [3, 18], [20, 18], [20, 10]], float)
    both = np.array([[3, 3], [3, 18], [20, 18], [20, 3]], float)
    one, other = fill([left], SHAPE), fill([right], SHAPE)
    assert not (one & other).any()
    assert np.array_equal(one | other, fill([both], SHAPE))
    assert one[3, 3]
    assert not one[20, 3]


def test_order_and_direction_of_the_points_do_not_matter() -> None:
    points = circle(12.3, 15.2, 7.7)
    for other in (points[::-1], np.roll(points, 17, axis=0)):
        assert np.array_equal(fill([points], SHAPE), fill([other], SHAPE))


def test_points_are_placed_on_an_oblique_grid() -> None:
    points = circle(10, 12, 5)
    lps = GRID.index_to_lps(np.column_stack([np.full(len(points), 4), points]))
    placed = on_slice(lps, GRID)
    assert placed.slice_index == 4
    assert np.allclose(placed.points, points, atol=1e-5)


@pytest.mark.parametrize(("off", "accepted"), [(0.0, True), (0.14, True), (-0.14, True), (0.16, False), (0.5, False)])
def test_contour_has_to_lie_on_a_slice(off: float, accepted: bool) -> None:
    points = circle(10, 12, 5)
    lps = GRID.index_to_lps(np.column_stack([np.full(len(points), 4 + off), points]))
    if accepted:
        assert on_slice(lps, GRID).slice_index == 4
    else:
        with pytest.raises(CaseRefused) as refused:
            on_slice(lps, GRID)
        assert refused.value.code is CaseCode.CONTOURS_OFF_SLICES


def test_contour_that_is_not_planar_is_refused() -> None:
    points = circle(10, 12, 5)
    lps = GRID.index_to_lps(np.column_stack([4 + np.linspace(-0.4, 0.4, len(points)), points]))
    with pytest.raises(CaseRefused, match="contours_off_slices"):
        on_slice(lps, GRID)


@pytest.mark.parametrize(("index", "row"), [(-1, 10), (12, 10), (4, 60), (4, -40)])
def test_contour_outside_the_image_is_refused(index: int, row: float) -> None:
    points = circle(row, 12, 5)
    lps = GRID.index_to_lps(np.column_stack([np.full(len(points), index), points]))
    with pytest.raises(CaseRefused, match="contours_outside"):
        on_slice(lps, GRID)


def contours(slices: list[int], column: float = 15) -> list[PlanarContour]:
    return [PlanarContour(index, circle(12, column, 5)) for index in slices]


@pytest.mark.parametrize(
    "slices",
    [[1, 3, 5, 7], [1, 2, 4, 5], [0, 3, 6, 9], [1, 2, 3, 7, 8], [0, 5, 10]],
    ids=["every second", "one missing", "every third", "three missing", "every fifth"],
)
def test_slices_missing_between_contours_are_refused(slices: list[int]) -> None:
    with pytest.raises(CaseRefused, match="contours_missing"):
        rasterise(contours(slices), GRID)


def test_two_parts_apart_are_no_missing_contours() -> None:
    mask = rasterise([*contours([1, 2, 3], 6), *contours([5, 6], 22)], GRID)
    assert list(np.flatnonzero(mask.any(axis=(1, 2)))) == [1, 2, 3, 5, 6]


def test_contours_that_cross_are_refused() -> None:
    crossing = [PlanarContour(2, circle(12, 12, 5)), PlanarContour(2, circle(12, 17, 5))]
    with pytest.raises(CaseRefused, match="contours_cross"):
        rasterise(crossing, GRID)


def test_contour_that_stands_there_twice_is_refused_and_makes_no_hole() -> None:
    with pytest.raises(CaseRefused, match="contours_cross"):
        rasterise([*contours([2]), *contours([2])], GRID)
