"""The order in which images of several Acquisition Numbers were acquired along the table."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dicom_io.images.grid.frames import Frames
from dicom_io.images.headers.acquired import acquired_at
from dicom_io.images.headers.series import Series


def rises_along_table(series: Series, frames: Frames, order: NDArray[np.intp]) -> bool:
    """Return whether acquisition times rise along the table, up or down, wherever the number changes.

    Two volumes whose slices take turns do not: the second one begins again where the first one began.

    Parameters
    ----------
    series, frames
        The series, and its frames in the same order.
    order
        Index of each slice, ascending along the stack.
    """
    times = [acquired_at(header, places) for _, header, _, places in series.frame_places()]
    sorted_times = [times[index] for index in order]
    numbers = [frames.acquisitions[index].number for index in order]
    return _rises(sorted_times, numbers) or _rises(sorted_times[::-1], numbers[::-1])


def _rises(times: list[float | None], numbers: list[str]) -> bool:
    for (before, after), (number, other) in zip(pairwise(times), pairwise(numbers), strict=True):
        if before is None or after is None or after < before or (number != other and after == before):
            return False
    return True
