"""A result's own dates and times beside inherited ones: one zone for all of them."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_io.results import local_time
from dicom_io.results.local_time import set_times
from dicom_io.results.notice_image import Notice, build_notice
from dicom_io.results.seg.build import build_seg, write_seg
from phantom.anatomy import make_phantom, trunk_geometry
from phantom.series import make_series, save_series
from tests.support.seg_cases import context, label_map, read_case

MOMENT = datetime(2026, 2, 28, 11, 30, 5, tzinfo=UTC)


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A node whose zone is UTC, at a moment when the day has changed in the far east."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(local_time, "now", lambda: MOMENT.astimezone())
    yield
    monkeypatch.undo()
    time.tzset()


def times_of(offset: str | None) -> Dataset:
    source, result = Dataset(), Dataset()
    if offset is not None:
        source.TimezoneOffsetFromUTC = offset
    set_times(result, source)
    return result


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize(
    ("offset", "date", "hour"),
    [
        ("+1300", "20260301", "003005"),
        ("-1200", "20260227", "233005"),
        ("+0530", "20260228", "170005"),
        ("+0000", "20260228", "113005"),
        ("+1400", "20260301", "013005"),
    ],
)
def test_dates_and_times_are_in_the_zone_of_the_source(offset: str, date: str, hour: str) -> None:
    result = times_of(offset)
    assert result.TimezoneOffsetFromUTC == offset
    for kind in ("Series", "Content", "InstanceCreation"):
        assert (result[f"{kind}Date"].value, result[f"{kind}Time"].value) == (date, hour)


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize("offset", [None, "", "+1500", "-1300", "+0160", "0100", "+1", "-0000", "UTC"])
def test_without_a_valid_zone_they_are_the_node_s_and_none_is_stated(offset: str | None) -> None:
    result = times_of(offset)
    assert (result.ContentDate, result.ContentTime) == ("20260228", "113005")
    assert "TimezoneOffsetFromUTC" not in result


@pytest.mark.usefixtures("utc")
def test_results_of_a_source_thirteen_hours_ahead_are_of_its_day(tmp_path: Path) -> None:
    datasets = make_series(make_phantom(trunk_geometry((40.0, 12.0, 10.0))))
    for dataset in datasets:
        dataset.TimezoneOffsetFromUTC = "+1300"
        dataset.StudyDate, dataset.StudyTime = "20260301", "001500"
    save_series(datasets, tmp_path / "series")
    case = read_case(tmp_path / "series")
    write_seg(build_seg(label_map(case), case.volume, case.sources, context()), tmp_path / "x.dcm")
    seg = pydicom.dcmread(tmp_path / "x.dcm")
    notice = build_notice(
        Notice("refused", "missing_slice", "A slice.", ("liver",), "0" * 16), case.sources[0].header, "1.2.3", ()
    )
    for result in (seg, notice):
        assert (result.StudyDate, result.StudyTime) == ("20260301", "001500")
        assert (result.ContentDate, result.ContentTime) == ("20260301", "003005"), "after the study, as it was"
        assert (result.SeriesDate, result.SeriesTime) == ("20260301", "003005")
        assert result.TimezoneOffsetFromUTC == "+1300"
    made = [item for item in seg.ContributingEquipmentSequence if "ContributionDateTime" in item]
    assert {str(item.ContributionDateTime) for item in made} == {"20260301003005+1300"}


def test_the_present_is_the_clock_s() -> None:
    before = datetime.now(UTC)
    found: Callable[[], datetime] = local_time.now
    assert before <= found() <= datetime.now(UTC)
