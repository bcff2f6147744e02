"""Interpolation along one axis as ``skimage.transform.resize`` does it: as a matrix, and as two neighbours a voxel.

Resampling with splines is linear and separable, so along one axis it is a matrix that depends on the two sizes only.
The matrix comes from the very function that skimage calls (``scipy.ndimage.zoom`` with ``grid_mode``), applied to unit
impulses, so that boundary, prefilter and rounding are the same. skimage's clipping is left to the caller.

References
----------
nnU-Net v2 ``default_resampling.py``; Unser, "Splines: a perfect fit for signal and image processing", 1999.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

CACHED_SIZES = 64
"""Number of matrices that are kept; one of 512 to 266 voxels takes 1.1 MB."""


@lru_cache(maxsize=CACHED_SIZES)
def axis_matrix(size_in: int, size_out: int, order: int) -> NDArray[np.float64]:
    """Compute the matrix ``(size_out, size_in)`` that resamples one axis, its edge values continued; read-only.

    Parameters
    ----------
    order
        Of the spline: 0 nearest neighbour, 1 linear, 3 cubic.
    """
    columns = []
    for index in range(size_in):
        impulse = np.zeros(size_in)
        impulse[index] = 1.0
        column = np.empty(size_out)
        zoom(impulse, size_out / size_in, output=column, order=order, mode="nearest", grid_mode=True)
        columns.append(column)
    matrix = np.stack(columns, axis=1)
    matrix.setflags(write=False)
    return matrix


def coordinates(size_in: int, size_out: int) -> NDArray[np.float64]:
    """Compute the positions of the output's voxel centres on the input's axis, in voxels.

    They lie up to half a voxel outside of the axis.

    The order of operations is scipy's, since ties between two voxels hang on the last bit.
    """
    scale = np.float64(size_in) / np.float64(size_out)
    position: NDArray[np.float64] = (np.arange(size_out) + 0.5) * scale - 0.5
    return position


def nearest_index(size_in: int, size_out: int) -> NDArray[np.int64]:
    """Find, for each voxel of the output, the voxel of the input that order 0 takes."""
    inside = np.clip(coordinates(size_in, size_out), 0, size_in - 1)
    return np.floor(inside + 0.5).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Cells:
    """One axis cut into cells between neighbouring voxels of the input; every voxel of the output lies in one cell.

    Attributes
    ----------
    lower, upper
        int64 ``(cells,)``: the input voxels on the cell's two sides, ascending; one and the same array where the
        output takes its values from single voxels.
    first
        int64 ``(cells + 1,)``: cell ``i`` holds the output voxels from ``first[i]`` to before ``first[i + 1]``.
    weights
        float64 ``(2, size_out)``: of the lower and of the upper side, for each output voxel; the sum is 1.
    """

    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    first: NDArray[np.int64]
    weights: NDArray[np.float64]

    @property
    def sides(self) -> int:
        """1 if output voxels are input voxels, 2 if they lie between two of them."""
        return 1 if self.upper is self.lower else 2

    @property
    def most(self) -> int:
        """The largest number of output voxels in a cell."""
        return int(np.diff(self.first).max())

    @property
    def cell_of(self) -> NDArray[np.int64]:
        """The cell of each output voxel: int64 ``(size_out,)``."""
        return np.repeat(np.arange(len(self.lower)), np.diff(self.first))


def linear_cells(size_in: int, size_out: int) -> Cells:
    """Build the cells of linear interpolation (order 1); equal sizes leave the axis as it is."""
    if size_in == size_out:
        return single_voxels(np.arange(size_in))
    position = coordinates(size_in, size_out)
    floor = np.floor(position)
    # scipy takes the last weight as what is missing to 1, which is not always the fraction itself.
    low = 1.0 - (position - floor)
    below, first = np.unique(floor.astype(np.int64), return_index=True)
    # At the edges scipy adds the two shares of one and the same voxel, which rounds differently from taking it whole.
    return Cells(
        lower=np.maximum(below, 0),
        upper=np.minimum(below + 1, size_in - 1),
        first=np.append(first, size_out).astype(np.int64),
        weights=np.stack([low, 1.0 - low]),
    )


def single_voxels(index: NDArray[np.int64]) -> Cells:
    """Build the cells of an axis whose output voxels are the input voxels ``index``, which ascend."""
    count = len(index)
    return Cells(index, index, np.arange(count + 1), np.stack([np.ones(count), np.zeros(count)]))
