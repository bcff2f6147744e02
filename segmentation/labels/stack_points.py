"""The places of an irregular stack's voxels on the grid that a network saw, axis by axis.

Slices are parallel and the grid has their directions, so the place along each axis of the grid depends on one index of
the stack, and on which slice it is. Cutting, averaging, turning and resampling of the image each change it by a factor
and a shift, so that every voxel keeps its true place to the last bit that matters.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from core.volume import Geometry
from segmentation.boxes import Box
from segmentation.preprocessing.field_of_view import FieldOfView
from segmentation.preprocessing.orientation import Reorientation
from segmentation.preprocessing.target_grid import Shape3


@dataclass(frozen=True)
class _Axis:
    """One axis of an image: the stack's axis along which it runs, and the way from that axis's place to this one's."""

    source: int
    scale: float
    shift: float
    size: int


@dataclass(frozen=True, eq=False)
class StackPoints:
    """The voxels of a stack as points of an image that was made from its regular grid.

    Attributes
    ----------
    shape
        ``(slice, row, column)`` of the stack.
    places
        float64 ``(slice, 3)``: where the first voxel of each slice lies on the regular grid, in its voxels.
    """

    shape: Shape3
    places: NDArray[np.float64]
    _axes: tuple[_Axis, _Axis, _Axis]

    @classmethod
    def of(cls, geometry: Geometry, grid: Geometry) -> Self:
        """Place a stack on its `core.regular_grid.regular_grid`."""
        slices, rows, columns = (_Axis(number, 1.0, 0.0, size) for number, size in enumerate(grid.shape))
        return cls(geometry.shape, grid.lps_to_index(geometry.slice_positions), (slices, rows, columns))

    def framed(self, field_of_view: FieldOfView) -> Self:
        """Follow the averaging of blocks and the cut to a box."""
        axes = [
            replace(axis, scale=axis.scale / b, shift=(axis.shift + 0.5) / b - 0.5, size=-(-axis.size // b))
            for axis, b in zip(self._axes, field_of_view.blocks, strict=True)
        ]
        return self._with(axes).cropped(field_of_view.box)

    def turned(self, turn: Reorientation) -> Self:
        """Follow a permutation and flips."""
        axes = [self._axes[axis] for axis in turn.axes]
        flipped = [replace(axis, scale=-axis.scale, shift=axis.size - 1 - axis.shift) for axis in axes]
        return self._with([f if flip else a for a, f, flip in zip(axes, flipped, turn.flips, strict=True)])

    def transposed(self, order: Sequence[int]) -> Self:
        """Follow a permutation."""
        return self._with([self._axes[axis] for axis in order])

    def cropped(self, box: Box) -> Self:
        """Follow the cut to a box."""
        return self._with(
            [
                replace(axis, shift=axis.shift - part.start, size=part.stop - part.start)
                for axis, part in zip(self._axes, box, strict=True)
            ]
        )

    def _with(self, axes: Sequence[_Axis]) -> Self:
        first, second, third = axes
        return replace(self, _axes=(first, second, third))

    @property
    def sources(self) -> tuple[int, int, int]:
        """For each axis of the image, the stack's axis along which it runs."""
        first, second, third = (axis.source for axis in self._axes)
        return first, second, third

    def along(self, axis: int, slice_index: int) -> NDArray[np.float64]:
        """Return the places along an axis of the image of one slice's voxels: one place, or one a row or column."""
        source = self._axes[axis].source
        index = np.zeros(1) if source == 0 else np.arange(self.shape[source], dtype=np.float64)
        return self._placed(axis, index + self.places[slice_index, source])

    def of_voxels(self, axis: int, voxels: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
        """Return the places along an axis of the image of voxels ``(slice, row, column)`` of the stack."""
        source = self._axes[axis].source
        index = 0 if source == 0 else voxels[source]
        return self._placed(axis, index + self.places[voxels[0], source])

    def inside(self, axis: int, places: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Mark the places along an axis that lie in a voxel of the image."""
        marked: NDArray[np.bool_] = (places >= -0.5) & (places <= self._axes[axis].size - 0.5)
        return marked

    def _placed(self, axis: int, place: NDArray[np.float64]) -> NDArray[np.float64]:
        return place * self._axes[axis].scale + self._axes[axis].shift
