"""The spool: what it keeps, what it never loses, and that it can be read with ``ls``."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from app.workflow.intake import recover
from core.files import replace_file, write_synced
from dicom_io.spool.ingest import Ingest
from dicom_io.spool.received import is_uid, study_key
from dicom_io.spool.records import Delivery, Outcome, RecordedReason, State
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool
from dicom_io.spool.study_actions import run_again
from tests.support.arriving import Sent, put


def image(number: int, data: bytes = b"", *, study: str = "1.2", starts_work: bool = True) -> Sent:
    return Sent("SEGNODE", study, f"1.2.3.{number}", starts_work, data or b"image %d" % number)


def latest(spool: Spool, study: str = "1.2") -> Revision:
    revision = spool.latest_revision(study_key("SEGNODE", study))
    assert revision is not None
    return revision


def close(spool: Spool) -> Revision:
    revision = latest(spool)
    assert spool.close(revision, revision.arrival_stamp())
    return revision


def contents(folder: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in folder.iterdir())


def test_images_of_one_study_make_one_revision(spool: Spool) -> None:
    assert [put(Ingest(spool), image(n)) for n in (1, 2, 3)] == ["new_revision", "stored", "stored"]
    revision = latest(spool)
    assert (revision.number, revision.state) == (0, State.RECEIVING)
    assert contents(revision.images) == [b"image 1", b"image 2", b"image 3"]
    assert spool.open_keys() == spool.study_keys() == [revision.key]
    assert list((spool.root / "incoming").iterdir()) == []


def test_called_ae_and_study_separate(spool: Spool) -> None:
    put(Ingest(spool), image(1))
    put(Ingest(spool), image(1, study="1.3"))
    put(Ingest(spool), Sent("LIVER", "1.2", "1.2.3.1", True, b"x"))
    assert len(spool.study_keys()) == 3
    facts = spool.study(study_key("LIVER", "1.2"))
    assert (facts["called_ae"], facts["study"]) == ("LIVER", "1.2")


def test_late_images_open_a_revision_and_leave_the_older_one(spool: Spool) -> None:
    put(Ingest(spool), image(1))
    first = close(spool)
    assert put(Ingest(spool), image(2)) == "new_revision"
    assert contents(first.images) == [b"image 1"]
    assert latest(spool).number == 1
    assert contents(latest(spool).images) == [b"image 1", b"image 2"]


@pytest.mark.parametrize("closed", [False, True])
def test_the_same_bytes_again_change_nothing(spool: Spool, closed: bool) -> None:
    put(Ingest(spool), image(1))
    if closed:
        close(spool)
    stamp = latest(spool).arrival_stamp()
    assert put(Ingest(spool), image(1)) == "repeated"
    assert (latest(spool).number, latest(spool).arrival_stamp()) == (0, stamp)


def test_study_that_starts_no_work_is_set_aside(spool: Spool) -> None:
    assert put(Ingest(spool), image(1, starts_work=False)) == "set_aside"
    assert spool.latest_revision(study_key("SEGNODE", "1.2")) is None
    assert spool.open_keys() == []
    put(Ingest(spool), image(2))
    close(spool)
    put(Ingest(spool), image(3, starts_work=False))
    assert latest(spool).number == 0


@pytest.mark.parametrize("uid", ["", "1", "../../etc/x", "/abs/path", "1.2.3\x004", "1.2/3", "1." * 33 + "1", "1.2\n"])
def test_invalid_uid_is_never_stored(spool: Spool, uid: str) -> None:
    assert not is_uid(uid)
    for received in (
        Sent("SEGNODE", uid, "1.2", True, b"x"),
        Sent("SEGNODE", "1.2", uid, True, b"x"),
    ):
        with pytest.raises(ValueError, match="not a UID"):
            put(Ingest(spool), received)
    assert spool.study_keys() == []


def test_an_image_that_comes_while_closing_keeps_the_study_open(spool: Spool) -> None:
    put(Ingest(spool), image(1))
    revision = latest(spool)
    stamp = revision.arrival_stamp()
    put(Ingest(spool), image(2))
    assert not spool.close(revision, stamp)
    assert revision.state is State.RECEIVING


def test_a_revision_that_was_half_opened_is_opened_again(spool: Spool) -> None:
    put(Ingest(spool), image(1))
    close(spool)
    half = spool.root / "studies" / latest(spool).key / ".opening" / "images"
    half.mkdir(parents=True)
    (half / "rest.dcm").write_bytes(b"rest")
    put(Ingest(spool), image(2))
    assert contents(latest(spool).images) == [b"image 1", b"image 2"]


def test_associations_in_parallel_lose_nothing(spool: Spool) -> None:
    is_closed_once = threading.Event()

    def receive(worker: int) -> None:
        for number in range(20):
            if number == 10:
                is_closed_once.wait(60)
            put(Ingest(spool), image(1000 * worker + number))

    threads = [threading.Thread(target=receive, args=[worker]) for worker in range(1, 5)]
    for thread in threads:
        thread.start()
    closed = set()
    while any(thread.is_alive() for thread in threads):
        for key in spool.study_keys():
            revision = spool.latest_revision(key)
            receiving = revision is not None and revision.state is State.RECEIVING
            if revision is not None and receiving and spool.close(revision, revision.arrival_stamp()):
                closed.add(revision.number)
                is_closed_once.set()
    assert latest(spool).image_count() == 80
    assert closed


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    replace_file(path, b"old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileExistsError):
        write_synced(path, b"x")


class Queue:
    """Keeps what the intake queues; ``known`` is what it has queued before."""

    def __init__(self) -> None:
        self.revisions: list[tuple[str, int]] = []
        self.known: list[str] = []

    def enqueue(self, revision: Revision) -> None:
        self.revisions.append((revision.key, revision.number))

    def drop(self, revision: Revision) -> None:
        """Nothing else is queued."""

    def is_under_way(self, revision: Revision) -> bool:
        return revision.key in self.known


def test_a_new_intake_finds_what_was_left(spool: Spool) -> None:
    queue = Queue()
    for study in ("1.1", "1.2", "1.3", "1.4", "1.5"):
        put(Ingest(spool), image(1, study=study))
    waiting, running, ended, known, receiving = (latest(spool, f"1.{n}") for n in (1, 2, 3, 4, 5))
    for revision in (waiting, running, ended, known):
        spool.close(revision, revision.arrival_stamp())
        spool.unmark(revision.key)
    running.write_state(state=State.RUNNING)
    ended.write_state(state=State.DELIVERED)
    (spool.root / "open" / receiving.key).unlink()
    queue.known = [known.key]
    assert sorted(one.key for one in recover(spool, queue)) == sorted([waiting.key, running.key])
    assert sorted(queue.revisions) == sorted([(waiting.key, 0), (running.key, 0)])
    assert [revision.read_state().run for revision in (waiting, running, known)] == [1, 1, 0]
    assert spool.open_keys() == [receiving.key]


@pytest.mark.parametrize(("state", "number"), [("refused", 0), ("failed", 0), ("delivered", 1), ("nothing_found", 1)])
def test_running_again(spool: Spool, state: str, number: int) -> None:
    put(Ingest(spool), image(1))
    first = close(spool)
    first.write_state(state=state, reason=RecordedReason("x", ""))
    again = run_again(spool, first.key)
    assert (again.number, again.state) == (number, State.WAITING)
    assert contents(again.images) == [b"image 1"]
    assert spool.open_keys() == [first.key]
    with pytest.raises(ValueError, match="has not ended"):
        run_again(spool, first.key)


def test_running_again_keeps_results_that_one_destination_has(spool: Spool) -> None:
    put(Ingest(spool), image(1))
    revision = close(spool)
    revision.write_outcome(Outcome("segmented"))
    revision.results.mkdir()
    (revision.results / "a").touch()
    delivery = Delivery(("a",), attempts=3, reason="no")
    revision.write_delivery("one", replace(delivery, state="delivered"))
    revision.write_delivery("two", replace(delivery, state="refused"))
    revision.write_state(state=State.FAILED)
    run_again(spool, revision.key)
    assert revision.read_outcome() == Outcome("segmented")
    assert {name: one.state for name, one in revision.deliveries().items()} == {"one": "delivered", "two": "waiting"}


@pytest.mark.parametrize("gone", ["a", "notice.dcm"])
def test_running_again_makes_results_anew_whose_files_are_gone(spool: Spool, gone: str) -> None:
    put(Ingest(spool), image(1))
    revision = close(spool)
    revision.write_outcome(Outcome("segmented", files={"m": ("a",)}))
    revision.results.mkdir()
    for name in {"a", "notice.dcm"} - {gone}:
        (revision.results / name).touch()
    delivery = Delivery(("a", "notice.dcm"), attempts=3, reason="no", state="failed")
    revision.write_delivery("one", delivery)
    revision.write_state(state=State.FAILED, reason=RecordedReason("not_delivered", ""))
    run_again(spool, revision.key)
    assert (revision.read_outcome(), revision.deliveries()) == (None, {})


def test_own_objects_are_known_again(spool: Spool) -> None:
    assert "2.25.1" not in spool.own
    spool.own.add("2.25.1")
    assert "2.25.1" in Spool(spool.root).own
