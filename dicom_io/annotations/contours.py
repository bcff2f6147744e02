"""From the closed contours of one structure to voxels, by one rule.

A voxel belongs to a structure if its centre lies inside its contours by the even-odd rule: a ray from the centre
crosses them an odd number of times. Holes that are contours of their own, and holes that a contour reaches by a
keyhole, are holes. A centre on a contour counts as inside at the contour's upper and left edges, and as outside at its
lower and right ones, so that structures that touch share no voxel. Nothing is interpolated between slices.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import CaseCode, CaseRefused
from core.volume import Geometry

SLICE_TOLERANCE = 0.15
"""Largest distance of a contour's point from its slice, in gaps: slices may deviate by 0.1 from an even grid, and
contours are written with few decimals."""

LONGEST_GAP_MM = 10.0
"""A structure that ends and begins again at the same place within this is one whose contours are missing."""

LONGEST_GAP_SLICES = 3
"""The same in slices, for thick ones."""

_DECIMALS = 6
"""Of a voxel: contours often run through voxel centres, where a rounding error would decide."""


@dataclass(frozen=True, eq=False)
class PlanarContour:
    """A closed contour on one slice.

    Attributes
    ----------
    slice_index
        0-based slice of the grid.
    points
        ``(n, 2)``: row and column in voxels, fractions of them.
    """

    slice_index: int
    points: NDArray[np.float64]


def on_slice(points: NDArray[np.float64], grid: Geometry) -> PlanarContour:
    """Find the slice of a contour, and its points in voxels of it.

    Parameters
    ----------
    points
        ``(n, 3)``, LPS mm.
    grid
        The image's.

    Raises
    ------
    CaseRefused
        ``contours_off_slices``, or ``contours_outside`` if it lies beyond the first or last slice, or wholly beside
        the image.
    """
    index = np.linalg.solve(grid.affine[:3, :3], (points - np.array(grid.origin)).T).T
    nearest = round(float(index[:, 0].mean()))
    off = float(np.abs(index[:, 0] - nearest).max())
    if off > SLICE_TOLERANCE:
        detail = f"A contour lies {off:.2f} of a gap from the nearest slice; at most {SLICE_TOLERANCE} is accepted."
        raise CaseRefused(CaseCode.CONTOURS_OFF_SLICES, detail)
    if not 0 <= nearest < grid.shape[0]:
        beyond = -nearest if nearest < 0 else nearest - grid.shape[0] + 1
        detail = f"A contour lies {beyond} slices beyond the image's {grid.shape[0]} slices."
        raise CaseRefused(CaseCode.CONTOURS_OUTSIDE, detail)
    plane = index[:, 1:].round(_DECIMALS)
    if (plane.max(axis=0) < -0.5).any() or (plane.min(axis=0) > np.array(grid.shape[1:]) - 0.5).any():
        raise CaseRefused(CaseCode.CONTOURS_OUTSIDE, f"A contour of slice {nearest + 1} lies beside the image.")
    return PlanarContour(nearest, plane)


def leaves(contour: PlanarContour, grid: Geometry) -> bool:
    """Tell whether a contour reaches beyond the image within its plane, where it is cut off."""
    low, high = contour.points.min(axis=0), contour.points.max(axis=0)
    return bool((low < -0.5).any() or (high > np.array(grid.shape[1:]) - 0.5).any())


def fill(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Find the voxels whose centres lie inside an odd number of polygons, by the crossings of each row.

    Parameters
    ----------
    polygons
        Each ``(n, 2)``: row and column in voxels; the last point is joined to the first.
    shape
        Rows and columns.
    """
    rows, columns = shape
    crossed = np.zeros((rows, columns + 1), np.int64)
    for points in polygons:
        start, end = points, np.roll(points, -1, axis=0)
        first = np.clip(np.ceil(np.minimum(start[:, 0], end[:, 0])), 0, rows).astype(np.int64)
        last = np.clip(np.ceil(np.maximum(start[:, 0], end[:, 0])), 0, rows).astype(np.int64)
        count = last - first
        edge = np.repeat(np.arange(len(points)), count)
        row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[edge]
        share = (row - start[edge, 0]) / (end[edge, 0] - start[edge, 0])
        column = start[edge, 1] + share * (end[edge, 1] - start[edge, 1])
        np.add.at(crossed, (row, np.clip(np.ceil(np.round(column, _DECIMALS)), 0, columns).astype(np.int64)), 1)
    return (np.cumsum(crossed[:, :columns], axis=1) & 1).astype(np.bool_)


def rasterise(contours: Sequence[PlanarContour], grid: Geometry) -> NDArray[np.bool_]:
    """Make the mask ``(slice, row, column)`` of a structure from all of its contours.

    Raises
    ------
    CaseRefused
        ``contours_cross`` if contours of a slice lie neither apart nor one inside the other, or are the same twice;
        ``contours_missing`` if the structure is missing on slices between its contours.
    """
    mask = np.zeros(grid.shape, np.bool_)
    by_slice: dict[int, list[NDArray[np.float64]]] = {}
    for contour in contours:
        by_slice.setdefault(contour.slice_index, []).append(contour.points)
    for index, polygons in by_slice.items():
        _check_apart(polygons, index, grid.shape[1:])
        mask[index] = fill(polygons, grid.shape[1:])
    _check_gaps(mask, sorted(by_slice), grid.spacing[0])
    return mask


def _check_apart(polygons: Sequence[NDArray[np.float64]], index: int, shape: tuple[int, int]) -> None:
    """Check that the even-odd rule is what the contours mean: it makes a hole where two of them overlap by half."""
    if len(polygons) < 2:
        return
    filled = [fill([points], shape) for points in polygons]
    for number, first in enumerate(filled):
        for second in filled[:number]:
            shared = np.count_nonzero(first & second)
            is_inside = shared == min(np.count_nonzero(first), np.count_nonzero(second))
            if shared and (not is_inside or np.array_equal(first, second)):
                raise CaseRefused(CaseCode.CONTOURS_CROSS, f"On slice {index + 1} two contours share {shared} voxels.")


def _check_gaps(mask: NDArray[np.bool_], contoured: Sequence[int], gap_mm: float) -> None:
    """Check that no slice is missing inside: every second one, as of contours drawn on other slices, or a single one.

    A structure of several parts may end and begin again; there its parts do not overlap across the gap, or the gap is
    long.
    """
    steps = np.diff(contoured)
    sparse = len(steps) > 1 and int(steps.min()) > 1
    missing = []
    for below, step in zip(contoured, steps, strict=False):
        empty = int(step) - 1
        is_short = empty <= LONGEST_GAP_SLICES or empty * gap_mm <= LONGEST_GAP_MM
        goes_on = bool((mask[below] & mask[below + step]).any())
        if empty and ((goes_on and (is_short or sparse)) or (sparse and is_short)):
            missing.append((below, empty))
    if missing:
        slices = sum(empty for _, empty in missing)
        detail = f"{slices} slices in {len(missing)} gaps have none, the first after slice {missing[0][0] + 1}."
        raise CaseRefused(CaseCode.CONTOURS_MISSING, detail)
