"""The volumes that a series holds: echoes, time points, b-values, Dixon images, phases, and strays set aside.

A series that is one volume is never split, and one that does not come apart into whole volumes stays as it is. Images
that an attribute tells apart are never mixed into one volume (`group_frames`); whether a group is a volume is the
grid's decision, as for any series.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import ReasonCode, StudyRejected
from dicom_io.images.grid.geometry import MIN_SLICES, layout_of
from dicom_io.images.headers.series import Part, Series
from dicom_io.images.splitting.frame_table import FrameTable, read_table
from dicom_io.images.splitting.grouping import group_frames
from dicom_io.images.splitting.naming import Values, name_parts, values_of
from dicom_io.images.splitting.pieces import are_one_stack, are_stations
from dicom_io.images.splitting.strays import find_strays

_MAY_COME_APART = frozenset(
    {
        ReasonCode.MIXED_ACQUISITION,
        ReasonCode.DUPLICATE_POSITION,
        ReasonCode.MIXED_ORIENTATION,
        ReasonCode.MIXED_MATRIX,
        ReasonCode.MIXED_RESCALE_TYPE,
        ReasonCode.NO_POSITION,
        ReasonCode.MISSING_SLICE,
        ReasonCode.UNEVEN_SPACING,
        ReasonCode.GANTRY_TILT,
    }
)
"""Refusals of a series that several volumes in it may have caused."""

MOST_VOLUMES = 1000
"""A series of more is not taken apart: no model names one of so long a list, and each has to be held against all."""


@dataclass(frozen=True, eq=False)
class Split:
    """A series and its volumes.

    Attributes
    ----------
    volumes
        The series itself, or, where it came apart, its parts, whole volumes or not.
    refusal
        Why the series is no volume as it is; ``None`` where it is one.
    """

    volumes: tuple[Series, ...]
    refusal: StudyRejected | None = None
    table: FrameTable | None = None
    rows: tuple[tuple[int, ...], ...] = ()

    @property
    def is_apart(self) -> bool:
        """Return whether the series came apart."""
        return len(self.volumes) > 1

    def is_piece(self, volume: Series, stations: Sequence[Series] = ()) -> bool:
        """Return whether a volume is a piece of one stack of slices with others of its series.

        Parameters
        ----------
        volume
            One of ``volumes``.
        stations
            Those of ``volumes`` that make it a piece too where they only follow it along the table, or lie between its
            slices.
        """
        if self.table is None or not self.is_apart:
            return False
        own = self.rows[self.volumes.index(volume)]
        kind = self._kind(own)
        others = [rows for rows in self.rows if rows is not own and self._kind(rows) == kind]
        heights = set(self.table.heights(own).round(2))
        apart = [rows for rows in others if not heights & set(self.table.heights(rows).round(2))]
        if apart and any(are_one_stack(self.table, own, *rows) for rows in (*((one,) for one in apart), apart)):
            return True
        beside = [self.rows[self.volumes.index(one)] for one in stations]
        return any(rows in apart or are_stations(self.table, own, rows) for rows in beside)

    def _kind(self, rows: Sequence[int]) -> object:
        assert self.table is not None  # noqa: S101 - for the type checker; a series that came apart has one
        return self.table.orientations[rows[0]], self.table.columns["matrix"][rows[0]]


def split_of(series: Series) -> Split:
    """Return the volumes of a series, found once for all models."""
    return series.once(_split)


def volume_values(series: Series) -> Values:
    """Return what the frames of a series, or of a volume of it, state alike, by key of ``volume``."""
    return series.once(_values)


def _values(series: Series) -> Values:
    table = read_table(series)
    return values_of(table, range(len(table)))


def _split(series: Series) -> Split:
    try:
        layout_of(series, "any")
    except StudyRejected as error:
        refusal = error.with_traceback(None)
    else:
        return Split((series,))
    if refusal.code not in _MAY_COME_APART:
        return Split((series,), refusal)
    return _taken_apart(series, refusal) or Split((series,), refusal)


def _taken_apart(series: Series, refusal: StudyRejected) -> Split | None:
    """Return the parts of a series that is no volume; ``None`` if none of them is one."""
    table = read_table(series)
    if not len(table):
        return None
    strays = find_strays(table)
    set_aside = tuple(strays.values())

    def is_whole(rows: Sequence[int]) -> bool:
        if len(rows) < MIN_SLICES:
            return False
        try:
            layout_of(table.part(rows, whole=series), "any")
        except StudyRejected:
            return False
        return True

    rest = [row for row in range(len(table)) if row not in strays]
    groups = [rest] if strays and is_whole(rest) else group_frames(table, rest, is_whole)
    if len(groups) > MOST_VOLUMES or not any(map(is_whole, groups)):
        return None
    names: list[Part] | list[None] = [None]
    if len(groups) > 1:
        names = name_parts([values_of(table, rows) for rows in groups])
    volumes = tuple(table.part(rows, part, set_aside, whole=series) for rows, part in zip(groups, names, strict=True))
    return Split(volumes, refusal, table, tuple(map(tuple, groups)))
