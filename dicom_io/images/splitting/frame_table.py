"""All frames of a series with what tells them apart; no frame is refused here."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dicom_io.images.grid.frame_attributes import ATTRIBUTES, Value, merged
from dicom_io.images.headers.attributes import macro, numbers, uid
from dicom_io.images.headers.instance import Instance
from dicom_io.images.headers.series import Part, Series, Stray

ORIENTATION_TOLERANCE = 2e-3
"""Largest difference of direction cosines of two frames of one orientation: what rounding to three digits makes.
Whether they make one volume is the grid's matter."""

Column = list[Value]


@dataclass(frozen=True, eq=False)
class FrameTable:
    """The frames of a series.

    Attributes
    ----------
    series
        The series.
    places
        For each frame the index of its instance, and its number from 1.
    columns
        Value of each frame, by key of `ATTRIBUTES`; numbers that are one by their tolerance are equal.
    orientations
        Cosines of each frame, those of the first of its orientation; ``None`` where it states none.
    positions
        ``(n, 3)`` LPS mm; NaN where a frame states none.
    """

    series: Series
    places: list[tuple[int, int]]
    columns: dict[str, Column]
    orientations: list[tuple[float, ...] | None]
    positions: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.places)

    def part(
        self, rows: Sequence[int], part: Part | None = None, strays: tuple[Stray, ...] = (), *, whole: Series
    ) -> Series:
        """Return the series of some frames, in their order."""
        numbers_of: dict[int, list[int]] = {}
        for row in rows:
            index, number = self.places[row]
            numbers_of.setdefault(index, []).append(number)
        return Series(
            whole.uid,
            tuple(self.series.instances[index] for index in numbers_of),
            whole.repeats,
            whole.conflicts,
            whole.unread,
            whole.changed_words,
            tuple(tuple(found) for found in numbers_of.values()),
            part,
            strays,
            whole,
        )

    def name_of(self, row: int) -> str:
        """Name the image of a frame by its UID, and the frame's number where it is one of several."""
        index, number = self.places[row]
        name = uid(self.series.instances[index].header, "SOPInstanceUID") or "without UID"
        several = any(other == index and n != number for other, n in self.places)
        return f"{name} (frame {number})" if several else name

    def heights(self, rows: Sequence[int]) -> NDArray[np.float64]:
        """Return heights of frames along the normal of the first of them, in mm, ascending."""
        cosines = self.orientations[rows[0]]
        if cosines is None:
            return np.full(len(rows), np.nan)
        return np.sort(self.positions[list(rows)] @ np.cross(cosines[:3], cosines[3:]))


def read_table(series: Series) -> FrameTable:
    """Read every frame of a series."""
    place_of = {id(instance): index for index, instance in enumerate(series.instances)}
    places: list[tuple[int, int]] = []
    columns: dict[str, Column] = {attribute.key: [] for attribute in ATTRIBUTES}
    positions: list[tuple[float, ...]] = []
    cosines: list[tuple[float, ...] | None] = []
    known: dict[Hashable, Value] = {}
    instance: Instance
    for instance, header, number, groups in series.frame_places():
        places.append((place_of[id(instance)], number))
        for attribute in ATTRIBUTES:
            value = attribute.read(header, groups)
            columns[attribute.key].append(known.setdefault(value, value))
        position = numbers(macro(header, groups, "PlanePositionSequence"), "ImagePositionPatient", 3)
        positions.append(position or (np.nan,) * 3)
        orientation = numbers(macro(header, groups, "PlaneOrientationSequence"), "ImageOrientationPatient", 6)
        cosines.append(None if position is None else orientation)
    for attribute in ATTRIBUTES:
        if attribute.tolerance:
            columns[attribute.key] = merged(columns[attribute.key], attribute.tolerance)
    array = np.array(positions, np.float64).reshape(-1, 3)
    return FrameTable(series, places, columns, _orientations(cosines), array)


def _orientations(cosines: Sequence[tuple[float, ...] | None]) -> list[tuple[float, ...] | None]:
    """Let cosines within the tolerance be those of the first of them."""
    first: list[tuple[float, ...]] = []
    known: dict[tuple[float, ...], tuple[float, ...]] = {}
    for one in cosines:
        if one is not None and one not in known:
            near = next((f for f in first if np.abs(np.subtract(f, one)).max() <= ORIENTATION_TOLERANCE), None)
            if near is None:
                first.append(one)
            known[one] = near or one
    return [None if one is None else known[one] for one in cosines]
