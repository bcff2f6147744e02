"""Resampled values in scipy's own order of operations, for the few voxels that lie at a border of single precision.

A sum in double precision depends on the order of its terms in the last bits. After rounding to single precision that
shows only where the sum lies between two such numbers. There the value is computed again as scipy does: prefiltered by
its own recursion, and summed over the spline's neighbours one after the other.

The recursion forgets: from voxel to voxel the influence of what lies farther away falls by a factor of 3.7. So a window
around the voxel gives the same bits as the whole image.

References
----------
scipy ``ndimage/_interpolation.py``: ``zoom``, ``map_coordinates``; skimage ``transform/_warps.py``: ``resize``.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, spline_filter1d

from segmentation.preprocessing.interpolation import coordinates, nearest_index

MARGIN = 40
"""Voxels around a spline's neighbours: 28 bring what lies beyond below the last bit, the rest to the same rounding."""
PREPAD = 12
"""Voxels by which scipy continues an image's edges before it filters it (``mode="nearest"``)."""
CELL = 64
"""Edge of the cells, in voxels of the input, whose doubtful voxels share a window."""
NEIGHBOURS = 4
"""Neighbours of a cubic spline along an axis."""
DOUBT = 4e-15
"""Largest difference between two orders of summation, as a part of the largest value: three times what was seen."""
REACH, BEYOND = 12, 1e-6
"""Voxels around a place whose largest value counts there, and the share of the image's largest value that may add."""
FEW = 8
"""Voxels of a cell that are looked at one by one before a window is filtered for them."""
PLATEAU = 1e-7
"""Part of an image's largest value, below which a value at a voxel of exactly 0 is what a spline leaves there.

It is not computed again, since that could be half of an image whose background is 0.
"""
VOXELS_AT_ONCE = 2**18
"""Number of voxels that are collected at most, at 24 bytes each."""

ReadBox = Callable[[tuple[slice, ...]], torch.Tensor]


class NearBorders:
    """The voxels of a resampled image that are to be computed again; they are collected, since neighbours share work.

    Parameters
    ----------
    read
        Gives a box of the image before, in voxels along its axes; on the CPU.
    size_in
        Of the image before, in voxels.
    result
        The resampled image, float32, changed in place; on the CPU.
    order
        Of the spline: 1 or 3.
    bounds
        Least and greatest value of the image, to which skimage clips.
    """

    def __init__(
        self, read: ReadBox, size_in: Sequence[int], result: torch.Tensor, order: int, bounds: tuple[float, float]
    ) -> None:
        self._read, self._size_in, self._result = read, size_in, result
        self._order, self._bounds = order, bounds
        self._largest = max(abs(bounds[0]), abs(bounds[1]))
        self._voxels: list[NDArray[np.int64]] = []
        self._values: list[NDArray[np.float64]] = []

    def add(self, voxels: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Add voxels ``(voxel, axis)`` of the result, and their values before they were clipped and rounded."""
        if not len(voxels):
            return
        small = np.abs(values) <= PLATEAU * self._largest
        if small.any():
            left = ~small
            left[small] = self._is_not_zero(voxels[small])
            voxels, values = voxels[left], values[left]
        self._voxels.append(voxels)
        self._values.append(values)
        if sum(map(len, self._voxels)) >= VOXELS_AT_ONCE:
            self.settle()

    def settle(self) -> None:
        """Give all of them the values that ``skimage.transform.resize`` gives them."""
        if not self._voxels:
            return
        voxels, values = np.concatenate(self._voxels), np.concatenate(self._values)
        self._voxels, self._values = [], []
        voxels = voxels[self._in_doubt(voxels, values)]
        values = scipy_values(self._read, self._size_in, self._result.shape, self._order, voxels)
        self._result.numpy()[tuple(voxels.T)] = np.clip(values, *self._bounds)

    def _is_not_zero(self, voxels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell for each voxel whether the nearest voxel of the image is anything but exactly 0."""
        sizes = zip(self._size_in, self._result.shape, voxels.T, strict=True)
        nearest = [nearest_index(size_in, size_out)[at] for size_in, size_out, at in sizes]
        part = self._read(tuple(slice(int(at.min()), int(at.max()) + 1) for at in nearest)).numpy()
        found: NDArray[np.bool_] = part[tuple(at - at.min() for at in nearest)] != 0
        return found

    def _in_doubt(self, voxels: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Leave out voxels that are certain by the largest value around them, where a window would serve few."""
        places = _places(self._size_in, self._result.shape, voxels)
        result = np.ones(len(voxels), dtype=np.bool_)
        for chosen in _by_cell(places):
            if len(chosen) <= FEW:
                largest = np.array([self._largest_around(place) for place in places[chosen]])
                result[chosen] = rounds_apart(values[chosen], DOUBT * (largest + BEYOND * self._largest))
        return result

    def _largest_around(self, place: NDArray[np.float64]) -> float:
        box = [slice(max(0, int(at) - REACH), int(at) + REACH + 2) for at in place]
        return float(self._read(tuple(box)).abs().max())


def rounds_apart(values: NDArray[np.float64], doubt: NDArray[np.float64] | float) -> NDArray[np.bool_]:
    """Tell which values, if they were larger or smaller by ``doubt``, would be another number of single precision."""
    apart: NDArray[np.bool_] = (values - doubt).astype(np.float32) != (values + doubt).astype(np.float32)
    return apart


def scipy_values(
    read: ReadBox, size_in: Sequence[int], size_out: Sequence[int], order: int, voxels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Compute resampled values as ``skimage.transform.resize`` does with ``mode="edge"``, before it clips them.

    Parameters
    ----------
    read
        Gives a box of the image, in voxels along its axes; on the CPU.
    size_in, size_out
        Of the image and of the result, in voxels.
    order
        Of the spline: 0, 1 or 3.
    voxels
        ``(voxel, axis)`` of the result.

    Returns
    -------
    numpy.ndarray
        ``(voxel,)``.
    """
    pad = PREPAD if order > 1 else 0
    places = _places(size_in, size_out, voxels) + pad
    values = np.empty(len(voxels))
    for chosen in _by_cell(places):
        values[chosen] = _Window(read, size_in, order, places[chosen]).values()
    return values


def _places(size_in: Sequence[int], size_out: Sequence[int], voxels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute where voxels of the result lie in the image, in voxels: ``(voxel, axis)``."""
    sizes = zip(size_in, size_out, voxels.T, strict=True)
    return np.stack([coordinates(old, new)[at] for old, new, at in sizes], axis=1)


def _by_cell(places: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """List for each cell the numbers of the places in it."""
    _, cell = np.unique(places // CELL, axis=0, return_inverse=True)
    order = np.argsort(cell, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(cell[order])) + 1) if len(order) else []


class _Window:
    """The part of a padded image that decides the values at some places."""

    def __init__(self, read: ReadBox, size_in: Sequence[int], order: int, places: NDArray[np.float64]) -> None:
        self._order, self._places = order, places
        pad, margin = (PREPAD, MARGIN) if order > 1 else (0, 1)
        first = np.floor(places.min(axis=0)).astype(np.int64) - 1
        stop = np.floor(places.max(axis=0)).astype(np.int64) + NEIGHBOURS - 1
        padded = np.asarray(size_in) + 2 * pad
        self._inner = list(zip(np.maximum(first, 0), np.minimum(stop, padded), strict=True))
        self._outer = list(zip(np.maximum(first - margin, 0), np.minimum(stop + margin, padded), strict=True))
        self._image = self._continued(read, size_in, pad)

    def values(self) -> NDArray[np.float64]:
        """Filter axis by axis, each time keeping what the voxels' neighbours need, and interpolate."""
        filtered = self._image
        for axis, ((start, stop), (outer, _)) in enumerate(zip(self._inner, self._outer, strict=True)):
            if self._order > 1:
                filtered = spline_filter1d(filtered, self._order, axis, mode="nearest")
            filtered = filtered[(slice(None),) * axis + (slice(start - outer, stop - outer),)]
        # The difference to a whole number takes no bit from the fraction.
        at = self._places - np.array([start for start, _ in self._inner])
        found: NDArray[np.float64] = map_coordinates(
            np.ascontiguousarray(filtered), at.T, order=self._order, mode="nearest", prefilter=False
        )
        return found

    def _continued(self, read: ReadBox, size_in: Sequence[int], pad: int) -> NDArray[np.float64]:
        """Read the window; where it leaves the image, the edge continues."""
        box, widths = [], []
        for (start, stop), size in zip(self._outer, size_in, strict=True):
            inside = slice(min(max(0, start - pad), size - 1), max(1, min(stop - pad, size)))
            box.append(inside)
            widths.append((max(0, inside.start + pad - start), max(0, stop - pad - inside.stop)))
        part = read(tuple(box)).numpy().astype(np.float64)
        return np.pad(part, widths, mode="edge")
