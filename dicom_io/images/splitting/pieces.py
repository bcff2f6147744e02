"""Sets of frames that are pieces of one stack of slices, so that none of them may be a volume by itself.

Where an attribute changes half way through a scan, or takes turns, the frames come apart into two regular stacks that
are each a part of the patient, or every second slice of it.
"""

from collections.abc import Sequence

import numpy as np

from dicom_io.images.splitting.frame_table import FrameTable

EVEN_TOLERANCE = 0.1
"""Largest difference of a gap from the median gap, relative to it, in one stack made of pieces."""

IN_PLANE_TOLERANCE_MM = 1.0
"""Largest distance within the plane of a piece from where the stack would have it, beside what a tilt makes."""

LARGEST_OVERLAP = 0.5
"""Largest share of the shorter of two stations that lies within the other."""

SAME_POSITION_MM = 1e-3


def continues(table: FrameTable, stack: Sequence[int], row: int) -> bool:
    """Return whether a frame lies where a slice of a stack is missing, or where the next one would lie."""
    cosines = table.orientations[stack[0]]
    if cosines is None or len(stack) < 2:
        return False
    basis = np.array([cosines[:3], cosines[3:], np.cross(cosines[:3], cosines[3:])])
    places = table.positions[list(stack)] @ basis.T
    places = places[np.argsort(places[:, 2])]
    x, y, height = table.positions[row] @ basis.T
    gap = float(np.median(np.diff(places[:, 2])))
    if gap <= SAME_POSITION_MM or np.abs(places[:, 2] - height).min() < gap * (1 - EVEN_TOLERANCE):
        return False
    steps = (height - places[0, 2]) / gap
    slope = (places[-1, :2] - places[0, :2]) / max(places[-1, 2] - places[0, 2], gap)
    expected = places[0, :2] + slope * (height - places[0, 2])
    in_plane = float(np.abs(np.array([x, y]) - expected).max()) <= IN_PLANE_TOLERANCE_MM
    near = -1 - EVEN_TOLERANCE <= steps <= (places[-1, 2] - places[0, 2]) / gap + 1 + EVEN_TOLERANCE
    return in_plane and near and abs(steps - round(steps)) <= EVEN_TOLERANCE


def are_one_stack(table: FrameTable, *sets: Sequence[int]) -> bool:
    """Return whether sets of frames of one orientation, none of them at a position of another, make one even stack."""
    rows = [row for one in sets for row in one]
    cosines = {table.orientations[row] for row in rows}
    if len(cosines) > 1 or None in cosines or len({table.columns["matrix"][row] for row in rows}) > 1:
        return False
    gaps = np.diff(table.heights(rows))
    if not len(gaps) or np.isnan(gaps).any() or gaps.min() <= SAME_POSITION_MM:
        return False
    return bool(np.abs(gaps / np.median(gaps) - 1).max() <= EVEN_TOLERANCE)


def are_stations(table: FrameTable, first: Sequence[int], second: Sequence[int]) -> bool:
    """Return whether two sets of frames of one orientation follow each other along the table, with little overlap."""
    cosines = {table.orientations[row] for row in (*first, *second)}
    if len(cosines) > 1 or None in cosines:
        return False
    normal = np.cross(table.orientations[first[0]][:3], table.orientations[first[0]][3:])  # type: ignore[index]  # stated, as was checked
    one, other = (table.positions[list(rows)] @ normal for rows in (first, second))
    overlap = min(one.max(), other.max()) - max(one.min(), other.min())
    return bool(overlap <= LARGEST_OVERLAP * min(np.ptp(one), np.ptp(other)))
