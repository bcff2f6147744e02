"""Labels of an irregular stack, each decided from the logits at its voxel's true place.

Nothing demands that the voxels of an image form a grid: logits are interpolated linearly to any point, as nnU-Net does
for the points of its own grid. Where all corners of a point's cell agree, nothing is interpolated, since weights are
convex (`segmentation.labels.labeller`). No mask is ever resampled.

Along an axis that nnU-Net resamples by the nearest slice, the logits of each slice of the regular grid are those that
nnU-Net gives it, and a point between two slices lies between their logits.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segmentation.labels.label_handling import Decision
from segmentation.labels.labeller import CELLS_AT_ONCE, DECIDED_AT_ONCE, LEAST_PLANES, LOGITS_AT_ONCE
from segmentation.labels.stack_points import StackPoints
from segmentation.preprocessing.interpolation import nearest_index

Batch = tuple[slice, Callable[[torch.Tensor], None]]
"""Planes of the logits along their first axis, and the call that labels with them; batches ascend."""


@dataclass(frozen=True, eq=False)
class _Places:
    """Places along one axis of the logits: the voxels on both sides, and the weight of the upper one."""

    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    weight: NDArray[np.float32]

    def part(self, chosen: slice | NDArray[np.int64], less: int = 0) -> "_Places":
        """Return some of the places, counted from the plane ``less`` of the logits."""
        return _Places(self.lower[chosen] - less, self.upper[chosen] - less, self.weight[chosen])


class StackLabeller:
    """The map from logits on a network's grid to labels at the points of a stack.

    Parameters
    ----------
    points
        The stack's voxels on the image that was resampled to the network's grid, transposed and cropped.
    size_in, size_out
        ``(z, y, x)`` of the logits and of that image.
    axis
        The axis that is resampled on its own, by nearest neighbour; ``None`` resamples all linearly.
    order
        1, or 0 for nearest neighbour along every axis.
    """

    def __init__(
        self,
        points: StackPoints,
        size_in: Sequence[int],
        size_out: Sequence[int],
        decision: Decision,
        axis: int | None = None,
        order: int = 1,
    ) -> None:
        self._points, self._decision = points, decision
        self._size_in, self._size_out = tuple(size_in), tuple(size_out)
        self._nearest = [
            nearest_index(old, new) if number == axis or order == 0 else None
            for number, (old, new) in enumerate(zip(size_in, size_out, strict=True))
        ]
        self._values = np.asarray(decision.values)

    def batches(self, out: NDArray[np.integer[Any]], device: torch.device) -> Iterator[Batch]:
        """Yield the batches that write all labels into ``out``, background ``(slice, row, column)`` before.

        The logits that a batch's call takes are float16 ``(output, z, y, x)`` on ``device``; it raises
        `core.errors.PackageInvalid` if one is not a finite number.
        """
        leading = [self._placed(0, self._points.along(0, number)) for number in range(self._points.shape[0])]
        within = [np.flatnonzero(self._inside(0, number)) for number in range(self._points.shape[0])]
        least = np.array([p.lower[w].min(initial=self._size_in[0]) for p, w in zip(leading, within, strict=True)])
        most = np.array([p.lower[w].max(initial=-1) for p, w in zip(leading, within, strict=True)])
        plane = self._size_in[1] * self._size_in[2] * len(self._decision.values)
        step = max(LEAST_PLANES, LOGITS_AT_ONCE[device.type] // plane)
        for start in range(0, self._size_in[0], step):
            parts = []
            last = start
            for number in np.flatnonzero((most >= start) & (least < start + step)).tolist():
                lower = leading[number].lower[within[number]]
                chosen = within[number][(lower >= start) & (lower < start + step)]
                part = slice(int(chosen[0]), int(chosen[-1]) + 1)
                parts.append((number, part, leading[number].part(part, start)))
                last = max(last, int(leading[number].upper[part].max()))
            if parts:
                yield slice(start, last + 1), self._call(parts, out)

    def values_at(self, logits: torch.Tensor, voxels: Sequence[NDArray[np.int64]]) -> torch.Tensor:
        """Interpolate logits float32 ``(output, voxel)`` at voxels ``(slice, row, column)`` of the stack."""
        places = [self._placed(axis, self._points.of_voxels(axis, voxels)) for axis in range(3)]
        return _interpolated(logits.flatten(1), logits.shape[1:], places)

    def _call(
        self, parts: Sequence[tuple[int, slice, _Places]], out: NDArray[np.integer[Any]]
    ) -> Callable[[torch.Tensor], None]:
        def label(logits: torch.Tensor) -> None:
            flat = logits.flatten(1)
            pieces = range(0, flat.shape[1], DECIDED_AT_ONCE[flat.device.type])
            size = DECIDED_AT_ONCE[flat.device.type]
            decided = [self._decision.of_voxels(flat[:, start : start + size]) for start in pieces]
            index = torch.cat(decided).reshape(logits.shape[1:])
            for number, chosen, places in parts:
                self._label_slice(flat, index, out[number], number, (chosen, places))

        return label

    def _label_slice(
        self,
        flat: torch.Tensor,
        index: torch.Tensor,
        out: NDArray[np.integer[Any]],
        number: int,
        leading: tuple[slice, _Places],
    ) -> None:
        """Label the voxels of one slice, or those of its rows or columns that lie in the batch."""
        sides: list[slice] = [slice(None)] * 3
        places: list[_Places] = []
        for axis, source in enumerate(self._points.sources):
            chosen, found = leading
            if axis:
                inside = np.flatnonzero(self._inside(axis, number))
                if not inside.size:
                    return
                chosen = slice(int(inside[0]), int(inside[-1]) + 1)
                found = self._placed(axis, self._points.along(axis, number)).part(chosen)
            sides[source] = chosen
            places.append(found)
        lowest = highest = index
        for axis, place in enumerate(places):
            lowest, highest = (
                torch.minimum(_take(lowest, place.lower, axis), _take(lowest, place.upper, axis)),
                torch.maximum(_take(highest, place.lower, axis), _take(highest, place.upper, axis)),
            )
        settled = lowest.clamp(max=len(self._values) - 1).flatten()
        unsettled = ((lowest != highest) | (highest >= self._decision.doubt)).flatten().nonzero().flatten()
        size = CELLS_AT_ONCE[flat.device.type]
        for start in range(0, len(unsettled), size):
            numbers = unsettled[start : start + size]
            settled[numbers] = self._decided(flat, index.shape, places, lowest.shape, numbers).to(settled.dtype)
        labels = self._values[settled.cpu().numpy()].reshape(lowest.shape)
        flat_axis = self._points.sources.index(0)
        plane = labels.squeeze(flat_axis)
        rows_first = [source for source in self._points.sources if source] == [1, 2]
        out[sides[1], sides[2]] = plane if rows_first else plane.T

    def _decided(
        self,
        flat: torch.Tensor,
        shape: Sequence[int],
        places: Sequence[_Places],
        grid: Sequence[int],
        numbers: torch.Tensor,
    ) -> torch.Tensor:
        """Decide points, given as flat numbers of a slice's ``grid``, from interpolated logits; return indices."""
        where = np.unravel_index(numbers.cpu().numpy(), tuple(grid))
        at = [place.part(index) for place, index in zip(places, where, strict=True)]
        corners = _corners(flat, shape, at)
        lowest, highest = corners.amin((1, 2, 3)), corners.amax((1, 2, 3))
        size = max(-float(lowest.min()), float(highest.max()))
        outputs = self._decision.candidates(lowest, highest, size)
        values = _weighted(corners[outputs] if len(outputs) < len(corners) else corners, at)
        index, _ = self._decision.of_values(values, outputs, size)
        return index

    def _inside(self, axis: int, number: int) -> NDArray[np.bool_]:
        return self._points.inside(axis, self._points.along(axis, number))

    def _placed(self, axis: int, place: NDArray[np.float64]) -> _Places:
        """Bring places on the image to the logits' axis; up to half a voxel beyond its ends the end voxel counts."""
        old, new, nearest = self._size_in[axis], self._size_out[axis], self._nearest[axis]
        if nearest is None:
            place = (place + 0.5) * (old / new) - 0.5
        inside = np.clip(place, 0, (old if nearest is None else new) - 1)
        lower = np.floor(inside).astype(np.int64)
        weight = (inside - lower).astype(np.float32)
        upper = lower + (weight > 0)
        if nearest is None:
            return _Places(lower, upper, weight)
        return _Places(nearest[lower], nearest[upper], weight)


def _corners(flat: torch.Tensor, shape: Sequence[int], at: Sequence[_Places]) -> torch.Tensor:
    """Gather the logits around points: float32 ``(output, side, side, side, point)``."""
    z, y, x = (torch.from_numpy(np.stack([place.lower, place.upper])).to(flat.device) for place in at)
    numbers = (z[:, None, None] * shape[1] + y[None, :, None]) * shape[2] + x[None, None]
    return flat[:, numbers.flatten()].reshape(-1, *numbers.shape).float()


def _weighted(corners: torch.Tensor, at: Sequence[_Places]) -> torch.Tensor:
    """Interpolate corners ``(output, side, side, side, point)`` to ``(output, point)``."""
    values = corners
    for place in reversed(at):
        values = torch.lerp(values[..., 0, :], values[..., 1, :], torch.from_numpy(place.weight).to(values.device))
    return values


def _interpolated(flat: torch.Tensor, shape: Sequence[int], at: Sequence[_Places]) -> torch.Tensor:
    return _weighted(_corners(flat, shape, at), at).cpu()


def _take(tensor: torch.Tensor, index: NDArray[np.int64], axis: int) -> torch.Tensor:
    if len(index) == 1:
        return tensor.narrow(axis, int(index[0]), 1)
    if tensor.device.type == "cpu":
        # torch takes three times as long along the last axis.
        return torch.from_numpy(np.take(tensor.numpy(), index, axis))
    return tensor.index_select(axis, torch.from_numpy(index).to(tensor.device))
