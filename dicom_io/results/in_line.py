"""A tilted or uneven stack on its regular grid, for pictures alone: they show lengths and angles as they are.

Results are never made of it: their labels are decided at the slices' true places (``docs/geometry.md``).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.regular_grid import regular_grid
from core.volume import Geometry


def in_line(array: NDArray[Any], geometry: Geometry, fill: float = 0) -> NDArray[Any]:
    """Bring an array of a stack to `core.regular_grid.regular_grid` by the nearest slice and pixel.

    Parameters
    ----------
    array
        ``(slice, row, column)`` on ``geometry``.
    fill
        The value where no slice has a pixel.

    Returns
    -------
    numpy.ndarray
        Of the same kind; the array itself, if the geometry is regular.
    """
    if geometry.is_regular:
        return array
    grid = regular_grid(geometry)
    places = grid.lps_to_index(geometry.slice_positions)
    nearest = np.rint(np.interp(np.arange(grid.shape[0]), places[:, 0], np.arange(len(places)))).astype(int)
    result = np.full(grid.shape, fill, array.dtype)
    rows, columns = geometry.shape[1:]
    for plane, number in zip(result, nearest.tolist(), strict=True):
        row, column = np.rint(places[number, 1:]).astype(int).tolist()
        plane[row : row + rows, column : column + columns] = array[number]
    return result
