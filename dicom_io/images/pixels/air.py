"""The check that the air around the patient in a CT is where HU put it, near -1000: a look at a few slices."""

import numpy as np
from numpy.typing import NDArray

AIR_HU = (-1100.0, -700.0)
"""Range of the air around a patient; scanners cut values off at -1000 or -1024, and noise adds to them.

The edge of a narrow field of view, as of a heart, lies in lung, which is near -800.
"""

LEAST_GAP = 400.0
"""Smallest distance of tissue from what surrounds it at which that is air, whatever the unit: fat lies 150 HU below."""

DENSEST_RIM = 400.0
"""A rim of which nine tenths are denser is no patient's: it would be bone or metal all around."""

SLICES_LOOKED_AT = 16
"""A fixed number, so that the cost does not grow with the series."""

SMALLEST_SIDE = 16
"""Pixels along rows and columns below which a ring around the patient tells nothing."""

_RING = (0.85, 0.97)
"""Radii of a ring within the circle that scanners reconstruct, in halves of the shorter side."""

_CENTRE = 0.5


def implausible_air(array: NDArray[np.float32], padding: tuple[float, float] | None) -> float | None:
    """Return the value of the air around the patient if it is not that of HU; ``None`` if it is, or none is seen.

    Parameters
    ----------
    array
        ``(slice, row, column)`` in HU, as far as headers tell.
    padding
        The first and the last value of voxels outside of the field of view, which do not count; so does a plateau of
        the lowest value below air, which devices write there without saying so.
    """
    slices, rows, columns = array.shape
    if min(rows, columns) < SMALLEST_SIDE:
        return None
    chosen = array[np.unique(np.linspace(0, slices - 1, SLICES_LOOKED_AT).astype(int))]
    y, x = np.ogrid[:rows, :columns]
    radius = np.hypot(y - (rows - 1) / 2, x - (columns - 1) / 2) / (min(rows, columns) / 2)
    lowest = float(chosen.min())
    unseen = [one for one in (padding, (lowest, lowest) if lowest < AIR_HU[0] else None) if one is not None]
    centre = _seen(chosen[:, radius <= _CENTRE], unseen)
    ring = _seen(chosen[:, (radius >= _RING[0]) & (radius <= _RING[1])], unseen)
    if ring.size == 0 or centre.size == 0:
        return None
    around, tissue = float(np.percentile(ring, 10)), float(np.percentile(centre, 75))
    if abs(tissue - around) < LEAST_GAP:
        return None
    if tissue < AIR_HU[0] or around > DENSEST_RIM:  # values that are turned over: a slope of the wrong sign
        return around
    is_air = tissue > around
    return around if is_air and not AIR_HU[0] <= around <= AIR_HU[1] else None


def _seen(values: NDArray[np.float32], unseen: list[tuple[float, float]]) -> NDArray[np.float32]:
    for one, other in unseen:
        values = values[(values < min(one, other)) | (values > max(one, other))]
    return values
