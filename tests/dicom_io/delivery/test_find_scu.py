"""Asking an archive what it has: Orthanc for what is right, a made one for what is not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.events import Event

from core.errors import ConfigInvalid, RetryLater
from dicom_io.delivery.find_scu import STUDY_ROOT_FIND, ArchivedSeries, find_series
from dicom_io.delivery.store_scu import Destination
from tests.support.node_process import free_port, make_image
from tests.support.peers import Orthanc, store

STUDY = "1.2.826.0.1.8"
Answers = Iterator[tuple[int, Dataset | None]]


def test_orthanc_says_what_it_has(orthanc: Orthanc, peer: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    images = [make_image(STUDY, number) for number in (1, 2, 3)]
    images[2].SeriesInstanceUID = "1.2.3"
    for number, image in enumerate(images):
        image.save_as(tmp_path / "study" / f"{number}.dcm", enforce_file_format=True)
    assert store(peer("storescu"), orthanc.dicom_port, "ORTHANC", tmp_path / "study") == 0
    destination = Destination("127.0.0.1", orthanc.dicom_port, "ORTHANC")
    first, second = images[0].SeriesInstanceUID, "1.2.3"
    uids = [image.SOPInstanceUID for image in images]
    found = {one.uid: one for one in find_series(destination, "SEGNODE", STUDY, {first: 2, second: 5})}
    assert found == {
        first: ArchivedSeries(first, "CT", 2),
        second: ArchivedSeries(second, "CT", 1, frozenset(uids[2:])),
    }
    found = {one.uid: one for one in find_series(destination, "SEGNODE", STUDY, {})}
    assert found[first].instances == frozenset(uids[:2])
    assert find_series(destination, "SEGNODE", "1.2.3.4", {}) == []


@contextmanager
def archive(answer: Callable[[Event], Answers]) -> Iterator[Destination]:
    """An archive that answers C-FIND as a test wants it."""
    ae = AE("ARCHIVE")
    ae.add_supported_context(STUDY_ROOT_FIND)
    port = free_port()
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_FIND, answer)])
    try:
        yield Destination("127.0.0.1", port, "ARCHIVE")
    finally:
        server.shutdown()


def match(**attributes: str) -> Dataset:
    found = Dataset()
    for keyword, value in attributes.items():
        setattr(found, keyword, value)
    return found


def without_numbers(event: Event) -> Answers:
    if event.identifier.QueryRetrieveLevel == "SERIES":
        yield 0xFF00, match(SeriesInstanceUID="1.2.3", Modality="CT")
        yield 0xFF01, match(SeriesInstanceUID="", Modality="MR")
    else:
        assert event.identifier.SeriesInstanceUID == "1.2.3"
        yield 0xFF00, match(SOPInstanceUID="1.2.3.4")
        yield 0xFF00, match(SOPInstanceUID="no UID")


def test_where_it_gives_no_numbers_its_images_are_counted() -> None:
    with archive(without_numbers) as destination:
        found = find_series(destination, "SEGNODE", STUDY, {"1.2.3": 1})
    assert found == [ArchivedSeries("1.2.3", "CT", 1, frozenset({"1.2.3.4"}))]


def abort(event: Event) -> Answers:
    event.assoc.abort()
    yield 0xFF00, match(SeriesInstanceUID="1.2.3")


def status(code: int) -> Callable[[Event], Answers]:
    def answer(event: Event) -> Answers:
        yield 0xFF00, match(SeriesInstanceUID="1.2.3")
        yield code, None

    return answer


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (status(0xA700), RetryLater),
        (status(0xC001), RetryLater),
        (status(0xA900), ConfigInvalid),
        (status(0x0122), ConfigInvalid),
        (abort, RetryLater),
    ],
)
def test_transient_failures_are_told_from_final_ones(
    answer: Callable[[Event], Answers], error: type[Exception]
) -> None:
    with archive(answer) as destination, pytest.raises(error, match="archive"):
        find_series(destination, "SEGNODE", STUDY, {})


@pytest.mark.parametrize(("bound", "value"), [("MAX_MATCHES", 20), ("ANSWERS_WITHIN_S", 0.0)])
def test_an_archive_that_goes_on_for_ever_is_left(monkeypatch: pytest.MonkeyPatch, bound: str, value: float) -> None:
    def endless(event: Event) -> Answers:
        while not event.is_cancelled and event.assoc.is_established:
            yield 0xFF00, match(SeriesInstanceUID="1.2.3", Modality="CT", NumberOfSeriesRelatedInstances="1")

    monkeypatch.setattr("dicom_io.delivery.find_scu." + bound, value)
    with archive(endless) as destination, pytest.raises(RetryLater, match="endless"):
        find_series(destination, "SEGNODE", STUDY, {})
