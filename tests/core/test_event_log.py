"""Fields bound to the work under way are those of every event in it, and of no other."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.event_log import EventLog, bound

LOG = EventLog()


def fields(record: object) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name in ("study", "revision", "reason")}


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="segnode")


def test_events_of_a_block_have_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    with bound(study="abc"):
        with bound(revision=1):
            LOG.info("study_started")
        LOG.warning("study_postponed", reason="disk")
    LOG.error("lease_lost")
    assert [(record.message, fields(record)) for record in caplog.records] == [
        ("study_started", {"study": "abc", "revision": 1}),
        ("study_postponed", {"study": "abc", "reason": "disk"}),
        ("lease_lost", {}),
    ]


def test_a_field_of_the_event_itself_counts(caplog: pytest.LogCaptureFixture) -> None:
    with bound(study="abc"):
        LOG.info("study_started", study="def")
    assert fields(caplog.records[0]) == {"study": "def"}


def test_an_error_ends_the_binding(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyError), bound(study="abc"):
        raise KeyError
    LOG.info("study_started")
    assert fields(caplog.records[0]) == {}


def test_threads_have_fields_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    together = threading.Barrier(2)

    def work(study: str) -> None:
        with bound(study=study):
            together.wait(60)
            LOG.info("study_started", reason=study)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, ("abc", "def")))
    assert sorted(fields(record)["study"] == fields(record)["reason"] for record in caplog.records) == [True, True]


def test_a_record_names_the_place_that_logged(caplog: pytest.LogCaptureFixture) -> None:
    LOG.info("study_started")
    assert caplog.records[0].filename == "test_event_log.py"
