"""Labels made directly from a network's half-precision logits: interpolation and decision in one step, slab by slab.

nnU-Net interpolates every class to the image's grid, and decides there. Interpolation weights are convex, so wherever
the corners of a cell between the network's voxels agree, the label in the cell is theirs. Only cells whose corners
disagree are interpolated, and only where half precision leaves a choice is nnU-Net's own arithmetic repeated: in double
precision, in scipy's order, rounded to half precision. So labels equal nnU-Net's, and no array of classes at the
image's resolution exists.

References
----------
nnU-Net v2 ``inference/export_prediction.py``, ``default_resampling.py`` (order at most 1, ``order_z=0``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from segmentation.labels.label_handling import Decision
from segmentation.preprocessing.interpolation import Cells, linear_cells, nearest_index, single_voxels

LOGITS_AT_ONCE = {"cpu": 2**24, "cuda": 2**28}
"""Number of logits that are turned into labels at a time, at least those of a few planes of cells."""
LEAST_PLANES = 4
"""Least planes of cells in a slab; with fewer, many planes of logits, those between two slabs, would be read twice."""
DECIDED_AT_ONCE = {"cpu": 2**16, "cuda": 2**24}
"""Number of the network's voxels whose logits are read at a time, few enough on a CPU for its caches."""
CELLS_AT_ONCE = {"cpu": 2**13, "cuda": 2**18}
"""Number of cells that are interpolated at a time, few enough on a CPU for its caches."""


@dataclass(frozen=True)
class Slab:
    """Planes ``source`` of the logits, planes ``target`` of the labels that they decide, and ``cells``, on axis 0."""

    source: slice
    target: slice
    cells: slice


class Labeller:
    """The map from logits on one grid to labels on another.

    Parameters
    ----------
    size_in, size_out
        ``(z, y, x)`` of the logits and of the labels, both in transposed order.
    axis
        The axis that is resampled on its own, by nearest neighbour; ``None`` resamples all linearly.
    order
        1, or 0 for nearest neighbour along every axis.

    Raises
    ------
    ValueError
        If an axis is empty, or the order is neither 0 nor 1.
    """

    def __init__(
        self,
        size_in: Sequence[int],
        size_out: Sequence[int],
        decision: Decision,
        axis: int | None = None,
        order: int = 1,
    ) -> None:
        if min(*size_in, *size_out) < 1 or order not in (0, 1):
            raise ValueError(f"cannot label {tuple(size_out)} voxels from {tuple(size_in)} with order {order}")
        self.size_in, self.size_out = tuple(size_in), tuple(size_out)
        self._decision = decision
        self._axes = [
            _nearest_cells(old, new) if index == axis or order == 0 else linear_cells(old, new)
            for index, (old, new) in enumerate(zip(size_in, size_out, strict=True))
        ]

    def slabs(self, device: torch.device) -> Iterator[Slab]:
        """Yield the slabs that can be labelled on their own, along axis 0; each needs its ``source`` planes."""
        first = self._axes[0]
        plane = self.size_in[1] * self.size_in[2] * len(self._decision.values)
        step = max(LEAST_PLANES, LOGITS_AT_ONCE[device.type] // plane)
        count = len(first.lower)
        for start in range(0, count, step):
            stop = min(start + step, count)
            source = slice(int(first.lower[start]), int(first.upper[stop - 1]) + 1)
            yield Slab(source, slice(int(first.first[start]), int(first.first[stop])), slice(start, stop))

    def label(self, logits: torch.Tensor, slab: Slab) -> torch.Tensor:
        """Label the ``target`` planes of a slab.

        Parameters
        ----------
        logits
            float16 ``(output, z, y, x)``: the slab's ``source`` planes, each output's planes contiguous.

        Returns
        -------
        torch.Tensor
            uint8, or int16 for many classes, ``(z, y, x)``, on the logits' device.

        Raises
        ------
        PackageInvalid
            If a logit is not a finite number.
        """
        axes = [_part(self._axes[0], slab), *self._axes[1:]]
        return _SlabOfCells(logits, axes, self._decision).labels()

    def values_at(self, logits: torch.Tensor, voxels: Sequence[NDArray[np.int64]]) -> NDArray[np.float16]:
        """Interpolate logits ``(output, voxel)``, as nnU-Net does, at some voxels ``(z, y, x)`` of the labels' grid."""
        cells = [axis.cell_of[at] for axis, at in zip(self._axes, voxels, strict=True)]
        return _stock_values(logits.flatten(1), logits.shape[1:], self._axes, cells, voxels)


class _SlabOfCells:
    """The cells of one slab: those that are settled are filled, the others are interpolated."""

    def __init__(self, logits: torch.Tensor, axes: Sequence[Cells], decision: Decision) -> None:
        self._logits = logits.flatten(1)
        self._shape = logits.shape[1:]
        self._axes = axes
        self._decision = decision
        self._device = logits.device
        # Voxels of an axis that is not interpolated are decided once, and repeated at the end.
        self._grid = tuple(len(a.lower) if a.sides == 1 else a.weights.shape[1] for a in axes)
        self._label_type = torch.uint8 if max(decision.values) < 256 else torch.int16
        self._at_once = CELLS_AT_ONCE[self._device.type]

    def labels(self) -> torch.Tensor:
        values = torch.tensor(self._decision.values, dtype=self._label_type, device=self._device)
        index, open_cells = self._settle()
        known = self._decision.values == tuple(range(len(values)))
        result = index.to(self._label_type) if known else values[index.long()]
        for axis, cells in reversed(list(enumerate(self._axes))):
            if cells.sides == 2:
                result = _take(result, cells.cell_of, axis)
        result = result.contiguous()
        for part in _pieces(open_cells, self._at_once):
            self._interpolate(part, result.view(-1), values)
        for axis, cells in enumerate(self._axes):
            if cells.sides == 1 and len(cells.lower) != int(cells.first[-1]):
                result = _take(result, cells.cell_of, axis)
        return result

    def _settle(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the index of every cell, and the flat numbers of the cells whose corners disagree or are in doubt."""
        pieces = _pieces(self._logits.T, DECIDED_AT_ONCE[self._device.type])
        lowest = highest = torch.cat([self._decision.of_voxels(piece.T) for piece in pieces]).reshape(self._shape)
        for axis, cells in enumerate(self._axes):
            lower, upper = _take(lowest, cells.lower, axis), _take(highest, cells.lower, axis)
            if cells.sides == 2:
                lower = torch.minimum(lower, _take(lowest, cells.upper, axis))
                upper = torch.maximum(upper, _take(highest, cells.upper, axis))
            lowest, highest = lower, upper
        disagree = (lowest != highest).logical_or_(highest >= self._decision.doubt)
        return lowest, disagree.flatten().nonzero().flatten()

    def _interpolate(self, numbers: torch.Tensor, result: torch.Tensor, values: torch.Tensor) -> None:
        """Decide every voxel of the cells ``numbers`` from interpolated logits, and write it into the flat result."""
        # torch.unravel_index would import sympy, which takes longer than many a study.
        rows, columns = len(self._axes[1].lower), len(self._axes[2].lower)
        where = (numbers // (rows * columns), numbers // columns % rows, numbers % columns)
        corners = self._corners(where)
        lowest, highest = corners.amin((1, 2, 3)), corners.amax((1, 2, 3))
        size = max(-float(lowest.min()), float(highest.max()))
        outputs = self._decision.candidates(lowest, highest, size)
        if len(outputs) < len(corners):
            corners = corners[outputs]
        targets, weights = self._targets(where)
        index, doubtful = self._decision.of_values(_interpolated(corners, weights), outputs, size)
        z, y, x = targets
        flat = (z[:, None, None] * self._grid[1] + y[None, :, None]) * self._grid[2] + x[None, None]
        result.scatter_(0, flat.flatten(), values[index.flatten().long()])
        for part in _pieces(flat[doubtful], self._at_once):
            result[part] = self._exactly(part).to(result)

    def _corners(self, where: Sequence[torch.Tensor]) -> torch.Tensor:
        """Gather the logits at the cells' corners: float32 ``(output, side z, side y, side x, cell)``."""
        sides = [_sides(cells, self._device)[:, place] for cells, place in zip(self._axes, where, strict=True)]
        z, y, x = sides
        flat = (z[:, None, None] * self._shape[1] + y[None, :, None]) * self._shape[2] + x[None, None]
        picked = torch.empty((len(self._logits), flat.numel()), dtype=torch.half, device=self._device)
        for plane, out in zip(self._logits, picked, strict=True):
            torch.index_select(plane, 0, flat.flatten(), out=out)
        return picked.reshape(-1, *flat.shape).float()

    def _targets(self, where: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor | None]]:
        """Find for each axis the output voxels ``(voxel in the cell, cell)``, and the upper side's float32 weights."""
        targets: list[torch.Tensor] = []
        weights: list[torch.Tensor | None] = []
        for cells, place in zip(self._axes, where, strict=True):
            if cells.sides == 1:
                targets.append(place[None])
                weights.append(None)
                continue
            first = torch.from_numpy(cells.first).to(self._device)
            offset = torch.arange(cells.most, device=self._device)[:, None]
            # A cell with fewer voxels than the fullest one has its last voxel decided more than once.
            target = torch.minimum(first[place] + offset, first[place + 1] - 1)
            upper = torch.from_numpy(cells.weights[1]).to(self._device, torch.float32)
            targets.append(target)
            weights.append(upper[target])
        return targets, weights

    def _exactly(self, voxels: torch.Tensor) -> torch.Tensor:
        """Label flat voxels of the grid from nnU-Net's own values."""
        place = np.unravel_index(voxels.cpu().numpy(), self._grid)
        cells = [at if a.sides == 1 else a.cell_of[at] for a, at in zip(self._axes, place, strict=True)]
        index = self._decision.exactly(_stock_values(self._logits, self._shape, self._axes, cells, place))
        return torch.from_numpy(np.asarray(self._decision.values)[index]).to(self._device)


def _stock_values(
    logits: torch.Tensor,
    shape: Sequence[int],
    axes: Sequence[Cells],
    cells: Sequence[NDArray[np.int64]],
    voxels: Sequence[NDArray[np.int64]],
) -> NDArray[np.float16]:
    """Interpolate logits ``(output, flat voxel)`` by scipy's own arithmetic, and round to half precision."""
    total: NDArray[np.float64] = np.zeros((len(logits), len(cells[0])))
    for corner in np.ndindex(*[a.sides for a in axes]):
        sides = [(a.upper if side else a.lower)[cell] for a, cell, side in zip(axes, cells, corner, strict=True)]
        flat = torch.from_numpy(np.ravel_multi_index(tuple(sides), tuple(shape))).to(logits.device)
        term = torch.stack([plane[flat] for plane in logits]).cpu().numpy().astype(np.float64)
        for a, voxel, side in zip(axes, voxels, corner, strict=True):
            if a.sides == 2:
                term *= a.weights[side][voxel]
        total += term
    return total.astype(np.float16)


def _interpolated(corners: torch.Tensor, weights: Sequence[torch.Tensor | None]) -> torch.Tensor:
    """Interpolate float32 corners ``(output, side, side, side, cell)`` to ``(output, voxel, voxel, voxel, cell)``."""
    values = corners
    for axis in (3, 2, 1):
        weight = weights[axis - 1]
        if weight is not None:
            shape = [1] * 5
            shape[axis], shape[4] = weight.shape
            values = torch.lerp(values.narrow(axis, 0, 1), values.narrow(axis, 1, 1), weight.reshape(shape))
    return values


def _nearest_cells(size_in: int, size_out: int) -> Cells:
    if size_in == size_out:
        return single_voxels(np.arange(size_in))
    lower, first = np.unique(nearest_index(size_in, size_out), return_index=True)
    return replace(single_voxels(lower), first=np.append(first, size_out).astype(np.int64))


def _pieces(tensor: torch.Tensor, length: int) -> Iterator[torch.Tensor]:
    for start in range(0, len(tensor), length):
        yield tensor[start : start + length]


def _part(cells: Cells, slab: Slab) -> Cells:
    """Select the cells of a slab, counted from its first planes."""
    lower = cells.lower[slab.cells] - slab.source.start
    return Cells(
        lower=lower,
        upper=lower if cells.sides == 1 else cells.upper[slab.cells] - slab.source.start,
        first=cells.first[slab.cells.start : slab.cells.stop + 1] - slab.target.start,
        weights=cells.weights[:, slab.target],
    )


def _sides(cells: Cells, device: torch.device) -> torch.Tensor:
    """List the voxels of the input at the cells' sides: int64 ``(side, cell)``."""
    return torch.from_numpy(np.stack([cells.lower, cells.upper][: cells.sides])).to(device)


def _take(tensor: torch.Tensor, index: NDArray[np.int64], axis: int) -> torch.Tensor:
    if int(index[-1]) - int(index[0]) + 1 == len(index):
        return tensor.narrow(axis, int(index[0]), len(index))
    if tensor.device.type == "cpu":
        # torch takes three times as long along the last axis.
        return torch.from_numpy(np.take(tensor.numpy(), index, axis))
    return tensor.index_select(axis, torch.from_numpy(index).to(tensor.device))
