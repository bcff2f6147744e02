"""The resampling of one series onto the grid of another."""

import importlib

import numpy as np
from numpy.typing import NDArray

from core.volume import Geometry

LARGEST_SHARE_OUTSIDE = 0.05
"""Share of the grid that a resampled series may leave uncovered. Uncovered voxels are filled with its lowest value,
and a network that is shown air in place of tissue answers as if it were air."""

_PARALLEL = 1e-6
"""Voxels by which an axis may drift across the whole grid and still count as parallel."""

_ROUNDING = 1e-6
_POINTS = 64
"""Points along each axis at which the share is measured; more would tell nothing that the bound needs."""


def resample(array: NDArray[np.float32], geometry: Geometry, grid: Geometry) -> NDArray[np.float32]:
    """Interpolate trilinearly, in patient coordinates, as SimpleITK's resampling does.

    Parameters
    ----------
    array
        ``(slice, row, column)`` on ``geometry``.
    geometry, grid
        Where the voxels are and where they are wanted, in one frame of reference. Up to half a voxel beyond the centres
        of the outermost voxels of ``geometry`` their values go on; further out the result is the lowest value of
        ``array``.
    """
    if not (geometry.is_regular and grid.is_regular):
        return _resample_slices(array, geometry, grid)
    to_array = np.linalg.inv(geometry.affine) @ grid.affine
    matrix, offset = to_array[:3, :3], to_array[:3, 3]
    off_diagonal = np.abs(matrix - np.diag(np.diag(matrix)))
    if float(off_diagonal.max()) * max(grid.shape) < _PARALLEL:
        matrix = np.diag(matrix)  # axes that are parallel are several times faster one by one
    ndimage = importlib.import_module("scipy.ndimage")  # what only a study on several grids pays for
    result: NDArray[np.float32] = ndimage.affine_transform(
        array, matrix, offset, output_shape=grid.shape, output=np.float32, order=1, mode="nearest"
    )
    _fill_outside(result, array.shape, to_array, float(array.min()))
    return result


def _resample_slices(array: NDArray[np.float32], geometry: Geometry, grid: Geometry) -> NDArray[np.float32]:
    """Interpolate as `resample` where slices of either lie at places of their own, slice by slice of the grid."""
    ndimage = importlib.import_module("scipy.ndimage")
    upper, lowest = np.array(array.shape) - 0.5, float(array.min())
    result = np.empty(grid.shape, np.float32)
    plane = np.moveaxis(np.indices((1, *grid.shape[1:]), dtype=np.float64), 0, -1)[0]
    for number, out in enumerate(result):
        plane[..., 0] = number
        index = geometry.lps_to_index(grid.index_to_lps(plane))
        ndimage.map_coordinates(array, np.moveaxis(index, -1, 0), output=out, order=1, mode="nearest")
        out[((index < -0.5 - _ROUNDING) | (index > upper + _ROUNDING)).any(axis=-1)] = lowest
    return result


def _fill_outside(
    result: NDArray[np.float32], shape: tuple[int, ...], to_array: NDArray[np.float64], value: float
) -> None:
    upper = np.array(shape) - 0.5
    rows, columns = np.meshgrid(*(np.arange(n) for n in result.shape[1:]), indexing="ij")
    in_plane = rows[..., None] * to_array[:3, 1] + columns[..., None] * to_array[:3, 2] + to_array[:3, 3]
    for number in range(result.shape[0]):
        index = in_plane + number * to_array[:3, 0]
        result[number][((index < -0.5 - _ROUNDING) | (index > upper + _ROUNDING)).any(axis=-1)] = value


def share_outside(inner: Geometry, grid: Geometry) -> float:
    """Measure the share of the grid, 0 to 1, outside of another grid's voxels, at up to 64³ points of it."""
    upper = np.array(inner.shape) - 0.5
    axes = [(np.arange(count) + 0.5) * (n / count) - 0.5 for n in grid.shape for count in (min(n, _POINTS),)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    if inner.is_regular and grid.is_regular:
        to_inner = np.linalg.inv(inner.affine) @ grid.affine
        index = points @ to_inner[:3, :3].T + to_inner[:3, 3]
    else:
        index = inner.lps_to_index(grid.index_to_lps(points))
    return float(((index < -0.5) | (index > upper)).any(axis=-1).mean())
