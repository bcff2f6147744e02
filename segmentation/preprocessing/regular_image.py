"""The image of an irregular stack on its regular grid, by one interpolation.

Each slice is moved within its plane by a cubic spline, and slices at uneven heights are combined along the normal by
the cubic spline through their true heights. A voxel of the grid is acquired where it lies within a slice's matrix; the
others get what a scanner shows where nothing is. Nothing is extrapolated: beyond the first and last slice, and up to
half a pixel beyond a matrix, the nearest value goes on.

References
----------
``scipy.interpolate.make_interp_spline``; Unser, "Splines: a perfect fit for signal and image processing", 1999.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from scipy.ndimage import spline_filter1d

from core.model_config import Channel, ModelConfig
from core.regular_grid import regular_grid
from core.units import HU, PT_UNITS, default_unit, same_unit
from core.volume import Geometry, Volume
from segmentation.preprocessing.resampling import NEGLIGIBLE

AIR_HU = -1000.0
"""Fill of a CT in HU: air."""

_WHOLE = 1e-6
"""Shifts nearer than this to a whole pixel, in pixels, move values without interpolating them."""
_PAD = 12
"""Pixels by which an edge is continued before a spline is fitted, as scipy does; its influence is then 1e-7."""
_PLANES = 16
"""Planes of the grid that are made at a time."""
_NEIGHBOURS = 64
"""Slices on both sides through which a spline is fitted: the influence of a slice at least halves from one to the next,
since a cubic spline's equations are dominated twice by their diagonal."""


def fills(config: ModelConfig) -> tuple[float | None, ...]:
    """Return the value of voxels without a source for each channel: air in CT, 0 in PET, ``None`` for the minimum."""
    return tuple(map(fill_of, config.channels))


def fill_of(channel: Channel) -> float | None:
    """Return the value of voxels without a source for one channel, as :func:`fills`."""
    unit = channel.unit or default_unit(channel.series.modality)
    if unit is not None and same_unit(unit, HU):
        return AIR_HU
    return 0.0 if unit in PT_UNITS else None


def regular_volume(volume: Volume, fill: Sequence[float | None]) -> Volume:
    """Interpolate an irregular stack to its regular grid.

    Parameters
    ----------
    volume
        On an irregular stack; not modified.
    fill
        For each channel the value of voxels without a source; ``None`` is the channel's lowest value.

    Returns
    -------
    Volume
        On `core.regular_grid.regular_grid`, with ``acquired`` where slices are shifted; its slices are no images, so
        they have no UIDs.
    """
    grid = regular_grid(volume.geometry)
    array = np.empty((len(volume.array), *grid.shape), np.float32)
    windows = _windows(volume.geometry, grid)
    for channel, out, empty in zip(volume.array, array, fill, strict=True):
        low, high = float(channel.min()), float(channel.max())
        out.fill(low if empty is None else empty)
        for number, plane in enumerate(_planes(channel, volume.geometry, grid)):
            window = windows[number]
            out[number][window] = np.clip(plane[window], low, high)
    acquired = None
    if volume.geometry.stack is not None and volume.geometry.stack.is_shifted:
        acquired = np.zeros(grid.shape, dtype=bool)
        for mask, window in zip(acquired, windows, strict=True):
            mask[window] = True
    slices = grid.shape[0]
    return replace(
        volume, array=array, geometry=grid, sop_instance_uids=("",) * slices, frame_numbers=(1,) * slices,
        acquired=acquired,
    )  # fmt: skip


def _windows(geometry: Geometry, grid: Geometry) -> list[tuple[slice, slice]]:
    """Find the rows and columns of each plane of the grid that lie within the matrix of a slice there."""
    places = grid.lps_to_index(geometry.slice_positions)
    found = []
    for number in range(grid.shape[0]):
        sides = []
        for axis in (1, 2):
            shift = float(np.interp(number, places[:, 0], places[:, axis]))
            first = max(0, int(np.ceil(shift - 0.5 - _WHOLE)))
            last = min(grid.shape[axis] - 1, int(np.floor(shift + geometry.shape[axis] - 0.5 + _WHOLE)))
            sides.append(slice(first, last + 1))
        found.append((sides[0], sides[1]))
    return found


def _planes(channel: NDArray[np.float32], geometry: Geometry, grid: Geometry) -> Iterator[NDArray[np.floating]]:
    """Yield the planes of the grid, with each slice's edge values continued around it."""
    places = grid.lps_to_index(geometry.slice_positions)

    def placed(number: int) -> NDArray[np.floating]:
        rows = _moved(channel[number], float(places[number, 1]), grid.shape[1], 0)
        return _moved(rows, float(places[number, 2]), grid.shape[2], 1)

    if geometry.stack is None or geometry.stack.is_even:
        yield from map(placed, range(len(channel)))
        return
    held: dict[int, NDArray[np.floating]] = {}
    for start in range(0, grid.shape[0], _PLANES):
        planes = np.arange(start, min(start + _PLANES, grid.shape[0]), dtype=np.float64)
        begin, weights = _height_weights(places[:, 0], planes)
        used = begin + np.flatnonzero((np.abs(weights) > NEGLIGIBLE).any(axis=0))
        held = {number: held[number] if number in held else placed(number) for number in range(used[0], used[-1] + 1)}
        for row in weights:
            mine = np.flatnonzero(np.abs(row) > NEGLIGIBLE)
            yield sum(row[number] * held[begin + number] for number in mine.tolist())


def _height_weights(places: NDArray[np.float64], planes: NDArray[np.float64]) -> tuple[int, NDArray[np.float64]]:
    """Compute the weights ``(plane, slice)`` of the cubic spline through slices at their true places.

    Parameters
    ----------
    places
        Of the slices along the grid's first axis, in planes of the grid, ascending.
    planes
        Of the grid, neighbours, ascending.

    Returns
    -------
    tuple
        The first slice that has weights, and those of it and the slices after it; all others have none that count.
    """
    inside = np.clip(planes, places[0], places[-1])
    first, last = np.searchsorted(places, [inside[0], inside[-1]])
    begin, end = max(0, int(first) - _NEIGHBOURS), min(len(places), int(last) + 1 + _NEIGHBOURS)
    near = places[begin:end]
    spline = make_interp_spline(near, np.eye(len(near)), k=min(3, len(near) - 1))
    weights: NDArray[np.float64] = spline(inside)
    return begin, weights


def _moved(plane: NDArray[np.floating], shift: float, size: int, axis: int) -> NDArray[np.floating]:
    """Move a plane by ``shift`` pixels along an axis into ``size`` pixels, its edge values continued on both sides."""
    whole = int(np.floor(shift + _WHOLE))
    part = shift - whole
    moved: NDArray[np.floating] = plane
    if part > _WHOLE:
        moved = _between(plane, part, axis)
    source = np.clip(np.arange(size) - whole, 0, moved.shape[axis] - 1)
    return moved if np.array_equal(source, np.arange(moved.shape[axis])) else np.take(moved, source, axis=axis)


def _between(plane: NDArray[np.floating], part: float, axis: int) -> NDArray[np.float64]:
    """Evaluate the cubic spline of a plane at ``index - part`` for every index along an axis and one more."""
    pads = [(0, 0), (0, 0)]
    pads[axis] = (_PAD, _PAD)
    padded = np.pad(plane.astype(np.float64), pads, mode="edge")
    spline = np.moveaxis(spline_filter1d(padded, 3, axis=axis, mode="mirror"), axis, 0)
    count = plane.shape[axis] + 1
    t = 1 - part  # the place lies this far above the pixel below it
    weights = ((1 - t) ** 3 / 6, 2 / 3 - t**2 + t**3 / 2, 2 / 3 - (1 - t) ** 2 + (1 - t) ** 3 / 2, t**3 / 6)
    first = _PAD - 2
    found = sum(weight * spline[first + tap : first + tap + count] for tap, weight in enumerate(weights))
    return np.moveaxis(np.asarray(found), 0, axis)
