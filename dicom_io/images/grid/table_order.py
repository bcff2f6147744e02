"""The order in which images of several Acquisition Numbers were acquired along the table."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dicom_io.images.grid.frame_attributes import ATTRIBUTES, Value, merged
from dicom_io.images.grid.frames import Frames
from dicom_io.images.headers.acquired import acquired_at
from dicom_io.images.headers.series import Series

_EQUAL = tuple(attribute for attribute in ATTRIBUTES if not attribute.varies or attribute.key == "slice_thickness")
"""Attributes that images of one scan have alike; times of frames rise as the table moves."""


def rises_along_table(series: Series, frames: Frames, order: NDArray[np.intp]) -> bool:
    """Return whether the numbers alone differ, and acquisition times rise along the table where they change.

    Two volumes whose slices take turns do not: the second one begins again where the first one began.

    Parameters
    ----------
    series, frames
        The series, and its frames in the same order.
    order
        Index of each slice, ascending along the stack.
    """
    times: list[float | None] = []
    columns: list[list[Value]] = [[] for _ in _EQUAL]
    for _, header, _, places in series.frame_places():
        times.append(acquired_at(header, places))
        for attribute, column in zip(_EQUAL, columns, strict=True):
            column.append(attribute.read(header, places))
    equal = (len(set(merged(c, a.tolerance) if a.tolerance else c)) == 1 for a, c in zip(_EQUAL, columns, strict=True))
    if not all(equal):
        return False
    sorted_times = [times[index] for index in order]
    numbers = [frames.acquisitions[index].number for index in order]
    return _rises(sorted_times, numbers) or _rises(sorted_times[::-1], numbers[::-1])


def _rises(times: list[float | None], numbers: list[str]) -> bool:
    for (before, after), (number, other) in zip(pairwise(times), pairwise(numbers), strict=True):
        if before is None or after is None or after < before or (number != other and after == before):
            return False
    return True
