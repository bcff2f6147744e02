"""Dates and times as moments, and how finely they are stated."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.valuerep import DA, DT, TM

from dicom_io.images.headers.instants import Instant, instant_of, instant_of_date_time, offset_of

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("time", "expected", "resolution"),
    [
        ("09", (9, 0, 0, 0), 3600),
        ("0905", (9, 5, 0, 0), 60),
        ("090507", (9, 5, 7, 0), 1),
        ("090507.5", (9, 5, 7, 500000), 0.1),
        ("090507.000001", (9, 5, 7, 1), 1e-6),
        ("09:05:07", (9, 5, 7, 0), 1),
    ],
)
def test_a_time_is_as_fine_as_it_is_stated(time: str, expected: tuple[int, ...], resolution: float) -> None:
    found = instant_of("20260102", time, None)
    assert found == Instant(datetime(2026, 1, 2, *expected), pytest.approx(resolution), False)
    assert instant_of_date_time("20260102" + time.replace(":", ""), None) == found


@pytest.mark.parametrize("time", ["", "9", "24", "0960", "090061", "0905.5", "09-05", "090507.1234567", "0905\\0906"])
def test_a_malformed_time_is_no_moment(time: str) -> None:
    assert instant_of("20260102", time, None) is None


@pytest.mark.parametrize("date", ["", "2026", "202613", "20261301", "20260230", "00000000", "18991231", "tomorrow"])
def test_a_malformed_date_is_no_moment(date: str) -> None:
    assert instant_of(date, "0900", None) is None
    assert instant_of_date_time(date, None) is None


def test_a_date_alone_is_a_day() -> None:
    assert instant_of_date_time("20260102", None) == Instant(datetime(2026, 1, 2), 86400, False)
    assert instant_of("2026.01.02", "09", None) == instant_of("20260102", "09", None)


def test_a_leap_second_is_the_next_minutes_first() -> None:
    assert instant_of("20161231", "235960", None) == Instant(datetime(2017, 1, 1), 1, False)


def test_zones_lead_to_one_time() -> None:
    expected = Instant(datetime(2026, 1, 2, 8), 1, True)
    assert instant_of("20260102", "090000", HOUR) == expected
    assert instant_of_date_time("20260102090000", HOUR) == expected
    assert instant_of_date_time("20260102030000-0500", HOUR) == expected
    assert instant_of_date_time("20260102030000-0500", None) == expected
    assert instant_of_date_time("20260102030000-0560", None) is None


@pytest.mark.parametrize(
    ("value", "hours"),
    [("+0100", 1), ("-0330", -3.5), ("+1400", 14), ("-1200", -12), ("+0000", 0)],
)
def test_offsets_from_utc(value: str, hours: float) -> None:
    assert offset_of(value) == timedelta(hours=hours)


@pytest.mark.parametrize("value", ["", "0100", "+01", "+0160", "-0000", "+1500", "-1300", "CET", "+01:00"])
def test_other_texts_are_no_offset(value: str) -> None:
    assert offset_of(value) is None


@given(st.datetimes(datetime(1900, 1, 1), datetime(2199, 1, 1)), st.integers(0, 6))
def test_every_valid_moment_is_pydicoms(moment: datetime, digits: int) -> None:
    fraction = f"{moment.microsecond:06d}"[:digits]
    time = f"{moment:%H%M%S}" + (f".{fraction}" if fraction else "")
    date = f"{moment.year:04d}{moment:%m%d}"
    found = instant_of(date, time, None)
    assert found is not None
    day, clock, both = DA(date), TM(time), DT(date + time)
    assert day is not None
    assert clock is not None
    assert found.moment == datetime.combine(day, clock) == both
    assert instant_of_date_time(date + time, None) == found


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_a_moment_or_nothing(date: str, time: str) -> None:
    assert isinstance(instant_of(date, time, None), Instant | None)
    assert isinstance(instant_of_date_time(date + time, HOUR), Instant | None)
    assert isinstance(offset_of(time), timedelta | None)
