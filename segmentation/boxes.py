"""Boxes of voxels, by which work on a label stays inside the part of the image that holds it."""

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray
from scipy import ndimage

Box = tuple[slice, slice, slice]


def bounding_boxes(array: NDArray[Any]) -> dict[int, Box]:
    """Find the smallest box that holds each value's voxels.

    Parameters
    ----------
    array
        Integer labels ``(slice, row, column)``; 0 is background.

    Returns
    -------
    dict
        The box of each value, in voxels along the array's axes; values that do not occur are left out.
    """
    found = ndimage.find_objects(array)
    return {value: box for value, box in enumerate(found, start=1) if box is not None}


def union(boxes: Iterable[Box]) -> Box | None:
    """Find the smallest box that holds all of the boxes; ``None`` if there are none."""
    sides = list(zip(*boxes, strict=True))
    if not sides:
        return None
    x, y, z = (slice(min(s.start for s in side), max(s.stop for s in side)) for side in sides)
    return x, y, z
