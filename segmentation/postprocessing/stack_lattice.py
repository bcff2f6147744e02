"""The lattice of an irregular stack for post-processing: neighbours, volumes and depths of its voxels."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from core.volume import Geometry


@dataclass(frozen=True, eq=False)
class StackLattice:
    """The places of a stack's slices, with in-plane offsets to the nearest pixel.

    Attributes
    ----------
    heights
        mm along the normal ``(slice,)``.
    shifts
        Whole pixels ``(slice, 2)`` by which slices are shifted along rows and columns, from 0.
    shares
        Length along the normal that each slice stands for, in median gaps.
    pixels
        mm between rows, and between columns.
    voxel_mm3
        Volume of a voxel of the median gap.
    """

    heights: NDArray[np.float64]
    shifts: NDArray[np.int64]
    shares: NDArray[np.float64]
    pixels: tuple[float, float]
    voxel_mm3: float

    @classmethod
    def of(cls, geometry: Geometry) -> Self | None:
        """Build the lattice of an irregular stack; ``None`` for a regular grid."""
        stack = geometry.stack
        if stack is None:
            return None
        gap, rows, columns = geometry.spacing
        shifts = np.rint(stack.offsets / (rows, columns)).astype(np.int64)
        return cls(
            stack.heights, shifts - shifts.min(axis=0), stack.shares / gap, (rows, columns), gap * rows * columns
        )

    def aligned(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a copy of labels in which voxels above each other in the patient have equal rows and columns."""
        more = self.shifts.max(axis=0)
        result = np.zeros((len(array), array.shape[1] + more[0], array.shape[2] + more[1]), array.dtype)
        for plane, out in zip(array, self._windows(result, array.shape), strict=True):
            out[...] = plane
        return result

    def put_back(self, aligned: NDArray[Any], array: NDArray[Any]) -> None:
        """Write aligned labels back into the array that they came from."""
        for plane, out in zip(self._windows(aligned, array.shape), array, strict=True):
            out[...] = plane

    def _windows(self, aligned: NDArray[Any], shape: tuple[int, ...]) -> list[NDArray[Any]]:
        return [
            plane[row : row + shape[1], column : column + shape[2]]
            for plane, (row, column) in zip(aligned, self.shifts.tolist(), strict=True)
        ]

    def deeper_than(self, mask: NDArray[np.bool_], depth_mm: float, first: int) -> NDArray[np.bool_]:
        """Find the voxels of a mask that lie farther than a depth from every voxel outside of it.

        Heights are the true ones, and offsets enter to the nearest pixel; beyond the array's faces the mask is assumed
        to continue.

        Parameters
        ----------
        mask
            ``(slice, row, column)``: some of the stack's slices, from slice ``first`` on.
        """
        last = first + len(mask)
        heights, shifts = self.heights[first:last], self.shifts[first:last]
        within = [_distance(plane, self.pixels) for plane in mask]
        result = mask.copy()
        for here, out in enumerate(result):
            for there in np.flatnonzero(np.abs(heights - heights[here]) <= depth_mm).tolist():
                if within[there] is None:
                    continue
                left = np.sqrt(depth_mm**2 - (heights[there] - heights[here]) ** 2)
                row, column = (shifts[here] - shifts[there]).tolist()
                _keep_deeper(out, within[there], left, row, column)
        return result


def _distance(plane: NDArray[np.bool_], pixels: tuple[float, float]) -> Any:
    """Return the distance in mm of each pixel from the nearest one outside; ``None`` where all are inside."""
    return None if plane.all() else distance_transform_edt(plane, sampling=pixels)


def _keep_deeper(out: NDArray[np.bool_], distance: Any, least: float, row: int, column: int) -> None:
    """Clear the pixels of ``out`` over which a slice shifted by ``row`` and ``column`` has less than a distance."""
    rows, columns = out.shape
    here = out[max(0, -row) : rows - max(0, row), max(0, -column) : columns - max(0, column)]
    there = distance[max(0, row) : rows - max(0, -row), max(0, column) : columns - max(0, -column)]
    if here.size:
        here &= there > least
