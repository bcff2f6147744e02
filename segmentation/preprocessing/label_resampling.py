"""nnU-Net's resampling of a segmentation to another grid, which a cascade's second stage sees; equal at every voxel.

nnU-Net interpolates every label's indicator and takes the largest; of equal ones it takes the nearest voxel's label,
else the lowest. Where the corners of a cell agree nothing has to be interpolated; elsewhere the indicators are summed
up in scipy's order, since most ties are decided by the last bit.

References
----------
batchgenerators ``augmentations/utils.py``: ``resize_segmentation``; nnU-Net v2 ``default_resampling.py``.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from segmentation.preprocessing.interpolation import Cells, linear_cells, nearest_index
from segmentation.preprocessing.target_grid import Shape3

PLANES_AT_ONCE = 16


def resample_labels(labels: NDArray[np.int16], shape: Shape3, axis: int | None, order: int = 1) -> NDArray[np.int16]:
    """Resample labels to ``shape`` ``(z, y, x)``, as nnU-Net does.

    Parameters
    ----------
    labels
        int16 ``(z, y, x)``; not modified.
    axis
        As :func:`segmentation.preprocessing.target_grid.separate_axis` gives it: along this axis the nearest
        voxel counts.
    order
        1, or 0 for the nearest voxel along every axis.

    Raises
    ------
    ValueError
        If an axis is empty, or the order is neither 0 nor 1.
    """
    if min(*labels.shape, *shape) < 1 or order not in (0, 1):
        raise ValueError(f"cannot resample labels of {labels.shape} voxels to {shape} with order {order}")
    source = labels
    for nearest in range(3):
        if nearest == axis or order == 0:
            source = np.take(source, nearest_index(source.shape[nearest], shape[nearest]), nearest)
    if source.shape == shape:
        return source.copy()
    axes = [linear_cells(old, new) for old, new in zip(source.shape, shape, strict=True)]
    result = np.empty(shape, dtype=labels.dtype)
    for start in range(0, shape[0], PLANES_AT_ONCE):
        planes = slice(start, min(start + PLANES_AT_ONCE, shape[0]))
        cells = axes[0].cell_of[planes]
        used = slice(int(cells[0]), int(cells[-1]) + 1)
        upper = axes[0].lower[used] if axes[0].sides == 1 else axes[0].upper[used]
        first = Cells(axes[0].lower[used], upper, axes[0].first, axes[0].weights)
        disagree, result[planes] = _settled(source, (first, *axes[1:]), (cells - used.start, *_cells_of(axes[1:])))
        voxels = list(np.nonzero(disagree))
        voxels[0] += start
        result[tuple(voxels)] = _decided(source, axes, voxels)
    return result


def _cells_of(axes: Sequence[Cells]) -> list[NDArray[np.int64]]:
    return [cells.cell_of for cells in axes]


def _settled(
    source: NDArray[np.int16], axes: Sequence[Cells], cell_of: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.bool_], NDArray[np.int16]]:
    """Find, for each voxel of the result, whether the corners of its cell disagree, and the lowest of them."""
    lowest = highest = source
    for axis, cells in enumerate(axes):
        low, high = np.take(lowest, cells.lower, axis), np.take(highest, cells.lower, axis)
        if cells.sides == 2:
            low = np.minimum(low, np.take(lowest, cells.upper, axis))
            high = np.maximum(high, np.take(highest, cells.upper, axis))
        lowest, highest = low, high
    disagree = lowest != highest
    for axis in (2, 1, 0):
        lowest, disagree = np.take(lowest, cell_of[axis], axis), np.take(disagree, cell_of[axis], axis)
    return disagree, lowest


def _decided(
    source: NDArray[np.int16], axes: Sequence[Cells], voxels: Sequence[NDArray[np.int64]]
) -> NDArray[np.int16]:
    corners = list(product(*[range(cells.sides) for cells in axes]))
    labels = np.empty((len(corners), len(voxels[0])), dtype=source.dtype)
    shares = np.empty(labels.shape)
    for number, corner in enumerate(corners):
        place, share = [], np.ones(labels.shape[1])
        for cells, voxel, side in zip(axes, voxels, corner, strict=True):
            place.append((cells.upper if side else cells.lower)[cells.cell_of[voxel]])
            share *= cells.weights[side][voxel]
        labels[number], shares[number] = source[tuple(place)], share
    scores = np.zeros_like(shares)
    for score, label in zip(scores, labels, strict=True):
        for share, other in zip(shares, labels, strict=True):
            score += np.where(other == label, share, 0.0)
    np.clip(scores, 0.0, 1.0, out=scores)  # as skimage clips to the indicator's range
    top = scores == scores.max(axis=0)
    lowest = np.where(top, labels, np.iinfo(labels.dtype).max).min(axis=0)
    nearest = source[tuple(nearest_index(*sizes)[v] for sizes, v in zip(_sizes(source, axes), voxels, strict=True))]
    is_top = (top & (labels == nearest)).any(axis=0)
    return np.where(is_top, nearest, lowest).astype(labels.dtype)


def _sizes(source: NDArray[np.int16], axes: Sequence[Cells]) -> list[tuple[int, int]]:
    return [(old, cells.weights.shape[1]) for old, cells in zip(source.shape, axes, strict=True)]
