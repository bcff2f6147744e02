"""Dates and times of a header as moments, each with how finely it is stated (PS3.5 section 6.2: DA, TM, DT).

pydicom's own types fill what a value of reduced precision leaves out with zeros and forget that they did; ``09`` may be
any minute of the hour, which is a third of a fluorine dose.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

_DATE = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)", re.ASCII)
"""Old objects write 2024.01.31, and times with colons; both are to be read."""

_TIME = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?)?", re.ASCII)
_DATE_TIME = re.compile(r"(\d{8})(\d\d(?:\d\d(?:\d\d(?:\.\d{1,6})?)?)?)?([+-]\d{4})?", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)", re.ASCII)
_YEARS = range(1900, 2200)
_UNIT_SECONDS = (3600.0, 60.0, 1.0)


@dataclass(frozen=True)
class Instant:
    """A moment.

    Attributes
    ----------
    moment
        Without a zone: in UTC where the zone is known, else in local time.
    resolution
        Seconds; the true moment lies at most so much later.
    zoned
        Whether the zone is known. Moments with and without one cannot be compared.
    """

    moment: datetime
    resolution: float
    zoned: bool


def instant_of(date: str, time: str, zone: timedelta | None) -> Instant | None:
    """Return the moment that a date (DA) and a time (TM) state, or ``None`` if either is missing or malformed.

    Parameters
    ----------
    date, time
        As the header has them.
    zone
        Timezone Offset From UTC, ``None`` where the header has none.
    """
    day, clock = _DATE.fullmatch(date), _time(time)
    if day is None or clock is None:
        return None
    return _build("".join(day.groups()), *clock, zone)


def instant_of_date_time(value: str, zone: timedelta | None) -> Instant | None:
    """Return the moment that a date and time (DT) state, or ``None`` if it is missing, malformed or without a day.

    Parameters
    ----------
    value
        As the header has it; an offset of its own counts before the header's.
    zone
        Timezone Offset From UTC, ``None`` where the header has none.
    """
    found = _DATE_TIME.fullmatch(value)
    if found is None:
        return None
    date, time, offset = found.groups()
    if offset is not None:
        zone = offset_of(offset)
        if zone is None:
            return None
    if time is None:
        return _build(date, timedelta(0), 86400.0, zone)
    clock = _time(time)
    return None if clock is None else _build(date, *clock, zone)


def offset_of(value: str) -> timedelta | None:
    """Return an offset from UTC such as ``+0100``, or ``None`` if it is invalid (PS3.5: -1200 to +1400, no -0000)."""
    found = _OFFSET.fullmatch(value)
    if found is None or value == "-0000" or int(found[3]) > 59:
        return None
    size = timedelta(hours=int(found[2]), minutes=int(found[3]))
    offset = -size if found[1] == "-" else size
    return offset if timedelta(hours=-12) <= offset <= timedelta(hours=14) else None


def _time(value: str) -> tuple[timedelta, float] | None:
    """Return the time since midnight and its resolution in seconds."""
    found = _TIME.fullmatch(value)
    if found is None:
        return None
    *stated, fraction = found.groups()
    parts = [int(part) for part in stated if part is not None]
    # 60 is a leap second
    if any(part > most for part, most in zip(parts, (23, 59, 60), strict=False)):
        return None
    seconds = sum(part * unit for part, unit in zip(parts, _UNIT_SECONDS, strict=False))
    if fraction is None:
        return timedelta(seconds=seconds), _UNIT_SECONDS[len(parts) - 1]
    return timedelta(seconds=seconds, microseconds=int(fraction.ljust(6, "0"))), 10.0 ** -len(fraction)


def _build(date: str, since_midnight: timedelta, resolution: float, zone: timedelta | None) -> Instant | None:
    try:
        day = datetime(int(date[:4]), int(date[4:6]), int(date[6:]))
    except ValueError:
        return None
    if day.year not in _YEARS:
        return None
    return Instant(day + since_midnight - (zone or timedelta(0)), resolution, zone is not None)
