"""Bring one series onto the grid of another."""

import importlib

import numpy as np
from numpy.typing import NDArray

from core.volume import Geometry

LARGEST_SHARE_OUTSIDE = 0.05
"""Share of the grid that a resampled series may leave uncovered. What is not covered is filled with its lowest value,
and a network that is shown air in place of tissue answers as if it were air."""

_POINTS = 64
"""Points along each axis at which the share is measured; more would tell nothing that the bound needs."""


def resample(array: NDArray[np.float32], geometry: Geometry, grid: Geometry) -> NDArray[np.float32]:
    """Interpolate trilinearly, in patient coordinates, by SimpleITK.

    Parameters
    ----------
    array
        ``(slice, row, column)`` on ``geometry``.
    geometry, grid
        Where the voxels are and where they are wanted, in one frame of reference. Outside of ``geometry`` the result is
        the lowest value of ``array``.
    """
    sitk = importlib.import_module("SimpleITK")  # 0.4 s and 260 MB that only a study on several grids pays for
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(geometry.spacing[::-1])
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction.ravel().tolist())
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(grid.shape[::-1])
    resampler.SetOutputSpacing(grid.spacing[::-1])
    resampler.SetOutputOrigin(grid.origin)
    resampler.SetOutputDirection(grid.direction.ravel().tolist())
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetDefaultPixelValue(float(array.min()))
    result: NDArray[np.float32] = sitk.GetArrayFromImage(resampler.Execute(image))
    return result


def share_outside(inner: Geometry, grid: Geometry) -> float:
    """Share of the grid, 0 to 1, that lies outside of another grid's voxels, measured at up to 64³ points of it."""
    to_inner = np.linalg.inv(inner.affine) @ grid.affine
    upper = np.array(inner.shape) - 0.5
    axes = [(np.arange(count) + 0.5) * (n / count) - 0.5 for n in grid.shape for count in (min(n, _POINTS),)]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) @ to_inner[:3, :3].T + to_inner[:3, 3]
    return float(((index < -0.5) | (index > upper)).any(axis=-1).mean())
