"""Long axis and perpendicular short axis of a structure, on the slice on which its area is largest.

A mask tells that the centres of its outer voxels lie inside and their neighbours' centres outside, so a border lies
between none and one voxel beyond the outer centre. A round border has some centre close to it in almost every
direction, one along the grid lies half a voxel beyond in the mean. So each end of an axis is put a quarter of a voxel
beyond the outer centre; it is then right to half a voxel.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist

from core.volume import Geometry

Ends = tuple[tuple[float, float], tuple[float, float]]
"""Row and column, in voxels from the centre of the first, of both ends of an axis."""

_BEYOND = 0.25
"""Part of a voxel by which an axis ends beyond the centre of the outer voxel."""


@dataclass(frozen=True)
class Diameters:
    """Two axes in the plane of one slice.

    Attributes
    ----------
    slice_index
        The slice, of the whole image.
    long_mm, short_mm
        Lengths.
    long_ends, short_ends
        Their ends in the plane of the slice.
    """

    slice_index: int
    long_mm: float
    short_mm: float
    long_ends: Ends
    short_ends: Ends


def largest_diameters(inside: NDArray[np.bool_], box: tuple[slice, slice, slice], geometry: Geometry) -> Diameters:
    """Measure the largest connected region on the slice of a structure's largest area.

    Parameters
    ----------
    inside
        ``(slice, row, column)``: the structure within its box, at least one voxel.
    box
        Where that lies in the image.
    geometry
        Of the whole image.
    """
    index = int(np.count_nonzero(inside, axis=(1, 2)).argmax())
    regions, count = ndimage.label(inside[index], structure=np.ones((3, 3)))
    region = regions == 1 + int(np.bincount(regions.ravel(), minlength=count + 1)[1:].argmax())
    spacing = np.asarray(geometry.spacing[1:])
    places = _outer(region) * spacing
    distances = cdist(places, places)
    first, second = np.unravel_index(int(distances.argmax()), distances.shape)
    ends = places[[first, second]]
    length = float(distances[first, second])
    along = (ends[1] - ends[0]) / length if length else np.array([0.0, 1.0])
    across = np.array([-along[1], along[0]])
    start = np.array([box[1].start, box[2].start])

    def settled(pair: NDArray[np.float64], direction: NDArray[np.float64]) -> tuple[float, Ends]:
        step = _BEYOND * _voxel_along(direction, spacing)
        longer = np.stack([pair[0] - step * direction, pair[1] + step * direction])
        (row, column), (last_row, last_column) = longer / spacing + start
        size = float(np.linalg.norm(longer[1] - longer[0]))
        return size, ((float(row), float(column)), (float(last_row), float(last_column)))

    long_mm, long_ends = settled(ends, along)
    short_mm, short_ends = settled(_widest(region, spacing, along, across), across)
    return Diameters(box[0].start + index, long_mm, short_mm, long_ends, short_ends)


def _outer(region: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the first and last voxel of each row: all corners of the convex hull are among them."""
    rows = np.flatnonzero(region.any(axis=1))
    first = region[rows].argmax(axis=1)
    last = region.shape[1] - 1 - region[rows, ::-1].argmax(axis=1)
    return np.stack([np.concatenate([rows, rows]), np.concatenate([first, last])], axis=1)


def _widest(
    region: NDArray[np.bool_], spacing: NDArray[np.float64], along: NDArray[np.float64], across: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return both ends of the widest extent across the long axis, among strips as wide as a voxel."""
    places = np.argwhere(region) * spacing
    strip = np.round(places @ along / _voxel_along(along, spacing)).astype(np.int64)
    strip -= strip.min()
    away = places @ across
    low, high = np.full(strip.max() + 1, np.inf), np.full(strip.max() + 1, -np.inf)
    np.minimum.at(low, strip, away)
    np.maximum.at(high, strip, away)
    best = int((high - low).argmax())
    middle = float((places @ along)[strip == best].mean())
    return np.stack([middle * along + low[best] * across, middle * along + high[best] * across])


def _voxel_along(direction: NDArray[np.float64], spacing: NDArray[np.float64]) -> float:
    return float(1.0 / np.linalg.norm(direction / spacing))
