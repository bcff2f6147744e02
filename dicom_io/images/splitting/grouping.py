"""The frames of a series in groups, each of one kind, of which the grid then says whether they are a volume."""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, pairwise

import numpy as np

from dicom_io.images.grid.frame_attributes import ATTRIBUTES
from dicom_io.images.splitting.frame_table import FrameTable
from dicom_io.images.splitting.pieces import SAME_POSITION_MM

Group = list[int]
IsWhole = Callable[[Group], bool]

_ORDERED = ("trigger_time", "frame_time")
"""Times that differ a little from slice to slice of one volume: the intervals of two volumes are apart."""


def group_frames(table: FrameTable, rows: Sequence[int], is_whole: IsWhole) -> list[Group]:
    """Return groups of frames that are of one kind, and come apart further where they are no volume as they are.

    A group that comes apart in two ways that contradict each other stays as it is: which one is right is not known.
    """
    kinds: dict[object, Group] = {}
    fixed = [attribute.key for attribute in ATTRIBUTES if not attribute.varies]
    for row in rows:
        kind = (table.orientations[row], *(table.columns[key][row] for key in fixed))
        kinds.setdefault(kind, []).append(row)
    return [part for group in kinds.values() for part in _apart(table, group, is_whole)]


def _apart(table: FrameTable, group: Group, is_whole: IsWhole) -> list[Group]:
    if is_whole(group):
        return [group]
    varying = [attribute.key for attribute in ATTRIBUTES if attribute.varies]
    for size in (1, 2):
        found = [
            partition
            for keys in combinations(varying, size)
            for partition in _partitions(table, group, keys)
            if _comes_apart(table, partition, is_whole)
        ]
        if found:
            coarsest = min(found, key=len)
            return coarsest if all(_refines(other, coarsest) for other in found) else [group]
    return [group]


def _partitions(table: FrameTable, group: Group, keys: Sequence[str]) -> Iterator[list[Group]]:
    by_value: dict[object, Group] = {}
    for row in group:
        by_value.setdefault(tuple(table.columns[key][row] for key in keys), []).append(row)
    yield list(by_value.values())
    if len(keys) == 1 and keys[0] in _ORDERED and (intervals := _intervals(table, group, keys[0])):
        yield intervals


def _intervals(table: FrameTable, group: Group, key: str) -> list[Group]:
    """Cut the frames, in order of a time, into as many equal parts as there are frames at each position.

    The times of a part have to lie nearer to each other than to those of the next; none where they do not.
    """
    times = table.columns[key]
    if any(times[row] is None for row in group):
        return []
    heights = table.heights(group)
    if np.isnan(heights).any():
        return []
    positions = 1 + int((np.diff(heights) > SAME_POSITION_MM).sum())
    if len(group) % positions or positions < 2 or positions == len(group):
        return []
    ordered = sorted(group, key=lambda row: float(times[row]))
    parts = [ordered[start : start + positions] for start in range(0, len(ordered), positions)]
    widest = max(times[part[-1]] - times[part[0]] for part in parts)
    nearest = min(times[after[0]] - times[before[-1]] for before, after in pairwise(parts))
    return parts if nearest > widest else []


def _comes_apart(table: FrameTable, partition: list[Group], is_whole: IsWhole) -> bool:
    """Return whether no part has two frames at one position, and at least one of several is a volume."""
    if len(partition) < 2:
        return False
    for part in partition:
        heights = table.heights(part)
        if np.isnan(heights).any() or (len(part) > 1 and np.diff(heights).min() <= SAME_POSITION_MM):
            return False
    return any(is_whole(part) for part in partition)


def _refines(fine: list[Group], coarse: list[Group]) -> bool:
    whole = [set(group) for group in coarse]
    return all(any(set(part) <= group for group in whole) for part in fine)
