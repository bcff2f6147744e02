"""nnU-Net's ``resample_data_or_seg_to_shape`` for images, as one matrix product per axis on any device.

Planes of the input are read, resampled in plane, and combined along axis 0 as soon as all planes that an output plane
needs are there, so that no more than the band of the axis's matrix is ever held in double precision. On a CPU the few
values that lie too close to a border of single precision are computed again as scipy does (``near_borders``), so that
every value is nnU-Net's.

References
----------
nnU-Net v2 ``default_resampling.py``: ``resample_data_or_seg``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from segmentation.preprocessing.interpolation import axis_matrix, nearest_index
from segmentation.preprocessing.near_borders import DOUBT, NearBorders, ReadBox

NEGLIGIBLE = 1e-17
"""Smaller weights are left out: a spline's influence falls by a factor of 3.7 from voxel to voxel."""
BLOCK = 32
"""Number of output voxels whose part of the matrix is multiplied at once."""
BLOCK_PLANES = 16
"""The same along axis 0, smaller since the planes that a block needs are held at a time."""
VOXELS_AT_ONCE = 2**19
"""Number of input voxels brought to working precision at a time, at least one plane; more leave a CPU's caches."""


@dataclass(frozen=True)
class _Block:
    """Rows ``rows`` of an axis's matrix, and the columns that are not negligible in them."""

    rows: slice
    columns: slice
    weights: torch.Tensor


def resample_planes(
    read: ReadBox,
    size_in: Sequence[int],
    out: torch.Tensor,
    axis: int | None,
    order: int,
    bounds: tuple[float, float],
) -> None:
    """Resample one channel that is read plane after plane, into ``out``.

    Parameters
    ----------
    read
        Gives a box of the channel, ``(planes, a, b)``, float32 on ``out``'s device: planes along axis 0, or along
        ``axis`` (moved to the front) where that one is resampled on its own. Whole planes are read once, in order, and
        boxes around values that are computed again.
    size_in
        ``(z, y, x)`` of the channel.
    out
        float32 ``(z, y, x)``, written.
    axis
        As :func:`segmentation.preprocessing.target_grid.separate_axis` gives it.
    bounds
        Least and greatest value of the channel.

    Raises
    ------
    ValueError
        If an axis is empty.
    """
    if min(size_in) < 1 or min(out.shape) < 1:
        raise ValueError(f"cannot resample {tuple(size_in)} voxels to {tuple(out.shape)}")
    lead = axis or 0
    planes = out.movedim(lead, 0)
    old = torch.Size(size_in)
    old_plane = tuple(size for index, size in enumerate(old) if index != lead)
    step = max(1, VOXELS_AT_ONCE // (old_plane[0] * old_plane[1]))
    if old == out.shape:
        for start in range(0, old[lead], step):
            stop = min(start + step, old[lead])
            planes[start:stop] = read((slice(start, stop),))
    elif axis is None:
        _resample_together(read, old, planes, order, bounds, step)
    else:
        _resample_apart(read, old[lead], old_plane, planes, order, step)


def working_precision(device: torch.device) -> torch.dtype:
    """Choose double precision on a CPU, for exactly nnU-Net's values; single on a GPU, within 1e-5 of the range."""
    return torch.float64 if device.type == "cpu" else torch.float32


def _resample_apart(
    read: ReadBox, count: int, old_plane: tuple[int, ...], out: torch.Tensor, order: int, step: int
) -> None:
    """Resample each slice in plane, clipped to its own range; across the slices take the nearest one."""
    in_plane = _InPlane(old_plane, out.shape[1:], order, out.device)
    wanted = torch.from_numpy(nearest_index(count, out.shape[0])).to(out.device)
    for start in range(0, count, step):
        stop = min(start + step, count)
        slices = read((slice(start, stop),))
        low, high = slices.amin((1, 2), keepdim=True), slices.amax((1, 2), keepdim=True)
        resampled, doubtful, values = _rounded(in_plane(slices), low, high, order)
        for number in np.unique(doubtful[:, 0]):
            mine = doubtful[:, 0] == number
            bounds = float(low[number]), float(high[number])
            again = NearBorders(slices[number].__getitem__, old_plane, resampled[int(number)], order, bounds)
            again.add(doubtful[mine, 1:], values[mine])
            again.settle()
        targets = torch.nonzero((wanted >= start) & (wanted < stop)).flatten()
        out[targets] = resampled[wanted[targets] - start]


def _resample_together(
    read: ReadBox, old: Sequence[int], out: torch.Tensor, order: int, bounds: tuple[float, float], step: int
) -> None:
    in_plane = _InPlane(old[1:], out.shape[1:], order, out.device)
    held = torch.empty((0, *out.shape[1:]), dtype=in_plane.dtype, device=out.device)
    low, high = torch.tensor(bounds, dtype=torch.float32, device=out.device)
    again = NearBorders(read, old, out, order, bounds)
    start = stop = 0
    for block in _blocks(old[0], out.shape[0], order, BLOCK_PLANES, in_plane.dtype, out.device):
        # Matrices are banded from the upper left to the lower right, so planes before the block are done with.
        parts = [held[max(0, block.columns.start - start) :]]
        start = max(start, block.columns.start)
        while stop < block.columns.stop:
            following = min(stop + step, old[0])
            parts.append(in_plane(read((slice(stop, following),)))[max(0, start - stop) :])
            stop = following
        held = torch.cat(parts) if len(parts) > 1 else parts[0]
        needed = held[block.columns.start - start : block.columns.stop - start]
        combined = needed if block.weights.numel() == 1 else torch.tensordot(block.weights, needed, dims=1)
        out[block.rows], doubtful, values = _rounded(combined, low, high, order)
        again.add(doubtful + np.array([block.rows.start, 0, 0]), values)
    again.settle()


def _rounded(
    values: torch.Tensor, low: torch.Tensor, high: torch.Tensor, order: int
) -> tuple[torch.Tensor, NDArray[np.int64], NDArray[np.float64]]:
    """Clip and round to single precision; also list the voxels ``(n, 3)`` where another last bit would round apart.

    Of these the values are given as they were.
    """
    rounded = torch.clamp(values.float(), low, high)
    if values.dtype is torch.float32 or order == 0:
        return rounded, np.empty((0, 3), dtype=np.int64), np.empty(0)
    doubt = torch.maximum(low.abs(), high.abs()).double() * DOUBT
    apart = (values - doubt).float() != (values + doubt).float()
    return rounded, torch.nonzero(apart).numpy(), values[apart].numpy()


class _InPlane:
    """The resampling of planes ``(plane, a, b)`` along their two axes."""

    def __init__(self, old: Sequence[int], new: Sequence[int], order: int, device: torch.device) -> None:
        self.dtype = working_precision(device)
        self._new = tuple(new)
        self._rows = _blocks(old[0], new[0], order, BLOCK, self.dtype, device) if old[0] != new[0] else None
        self._columns = _blocks(old[1], new[1], order, BLOCK, self.dtype, device) if old[1] != new[1] else None

    def __call__(self, planes: torch.Tensor) -> torch.Tensor:
        values = planes.to(self.dtype)
        if self._columns is not None:
            flat = values.reshape(-1, values.shape[2])
            narrow = torch.empty((len(flat), self._new[1]), dtype=self.dtype, device=values.device)
            for block in self._columns:
                narrow[:, block.rows] = flat[:, block.columns] @ block.weights.T
            values = narrow.reshape(*values.shape[:2], -1)
        if self._rows is not None:
            short = torch.empty((len(values), *self._new), dtype=self.dtype, device=values.device)
            for block in self._rows:
                short[:, block.rows] = block.weights @ values[:, block.columns]
            values = short
        return values


def _blocks(
    size_in: int, size_out: int, order: int, length: int, dtype: torch.dtype, device: torch.device
) -> list[_Block]:
    if size_in == size_out:
        one = torch.ones((1, 1), dtype=dtype, device=device)
        return [_Block(slice(i, i + 1), slice(i, i + 1), one) for i in range(size_in)]
    matrix = axis_matrix(size_in, size_out, order)
    blocks = []
    for start in range(0, size_out, length):
        rows = slice(start, min(start + length, size_out))
        used = np.flatnonzero((np.abs(matrix[rows]) > NEGLIGIBLE).any(axis=0))
        columns = slice(int(used[0]), int(used[-1]) + 1)
        weights = torch.tensor(matrix[rows, columns], dtype=dtype, device=device)
        blocks.append(_Block(rows, columns, weights))
    return blocks
