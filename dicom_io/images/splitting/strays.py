"""Images that lie in a series and are none of its volume: a scout of another plane, a picture without position."""

from collections import Counter
from math import isnan

from dicom_io.images.headers.series import Stray
from dicom_io.images.splitting.frame_table import FrameTable
from dicom_io.images.splitting.pieces import continues

MOST_STRAYS = 3
LARGEST_SHARE_OF_STRAYS = 0.05
"""A single one is a stray in any series; more of them, up to `MOST_STRAYS`, where they are no larger a share."""

_Kind = tuple[tuple[float, ...] | None, object]


def find_strays(table: FrameTable) -> dict[int, Stray]:
    """Find the strays, by their rows; none where what differs is too much for strays.

    A stray has no position, or another orientation or matrix than the frames around it. One of that kind that lies
    where the next slice of a stack would lie is no stray: a slice of it was damaged.
    """
    kinds: list[_Kind] = [
        (None if isnan(table.positions[row, 0]) else table.orientations[row], table.columns["matrix"][row])
        for row in range(len(table))
    ]
    counts = Counter(kinds)
    usual = counts.most_common(1)[0][0]
    few = {kind for kind, count in counts.items() if count <= MOST_STRAYS and kind != usual}
    rows = [row for row, kind in enumerate(kinds) if kind[0] is None or kind in few]
    most = max(1, min(MOST_STRAYS, int(LARGEST_SHARE_OF_STRAYS * len(table))))
    if not rows or len(rows) > most or len(rows) == len(table):
        return {}
    stack = [row for row, kind in enumerate(kinds) if kind == usual]
    if any(kinds[row][0] is not None and continues(table, stack, row) for row in rows):
        return {}
    return {row: Stray(table.name_of(row), _why(kinds[row], usual)) for row in rows}


def _why(kind: _Kind, usual: _Kind) -> str:
    if kind[0] is None:
        return "has no position or orientation"
    differing = [name for name, one, other in zip(("orientation", "matrix"), kind, usual, strict=True) if one != other]
    return f"has another {' and '.join(differing)}"
