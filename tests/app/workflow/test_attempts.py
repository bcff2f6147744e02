"""Attempts that cost their worker: neither a disk that is full, nor an end in good order."""

import errno
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

import dicom_io.spool.records
from app.study_run import Choices, StudyRun
from app.workflow.segment_step import SegmentStep
from app.workflow.study_places import GaveWay, StudyPlaces
from core.errors import RetryLater
from core.files import replace_file
from core.report import Report
from dicom_io.spool.claims import Claim, take
from dicom_io.spool.ingest import Ingest
from dicom_io.spool.records import RecordedChoice, State
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool
from dicom_io.spool.study_actions import run_again
from runtime.attempts import Attempts
from runtime.watchdog import Clock, timed
from tests.support.arriving import Sent, put
from tests.support.namespace import in_small_tmpfs
from tests.support.node_process import NodeProcess, wait_until, write_study
from tests.support.peers import StorageServer, store

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Holding:
    """A lease that always holds."""

    executor = "ct-1"

    def confirm(self) -> None:
        """It is certain."""

    def holds(self) -> bool:
        return True


class Filling:
    """In place of the models: fills the disk as often as it is told, then finds nothing; keeps what it was told."""

    def __init__(self, times: int = 0) -> None:
        self.times = times
        self.notes: list[Sequence[str]] = []

    def run(self, run: StudyRun) -> Report:
        self.notes.append(run.notes)
        if len(self.notes) <= self.times:
            (run.output / "filler").touch()
            raise FULL
        return Report(study="1.2", outcome="nothing_found", device="cpu")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    return spool


@pytest.fixture
def revision(spool: Spool) -> Revision:
    """A revision that waits for its work."""
    put(Ingest(spool), Sent("SEGNODE", "1.2", "1.2.3", True, b"image"))
    (key,) = spool.study_keys()
    revision = spool.revision(key, 0)
    assert spool.close(revision, revision.arrival_stamp(), ["Images were still coming."])
    return revision


class NoLine:
    """Nobody keeps the time."""

    def say(self, what: bytes) -> None:
        pass


def no_limit(key: str, number: int) -> AbstractContextManager[Clock]:
    return timed(NoLine(), key, number, 1.0)


def segment_step(spool: Spool, filling: Filling, max_deaths: int) -> SegmentStep:
    return SegmentStep(spool.root, filling.run, no_limit, Attempts(), max_deaths, StudyPlaces())


def claimed(spool: Spool, revision: Revision) -> Claim:
    return take(spool, Holding(), revision, revision.read_state().run)


def test_a_disk_that_a_try_fills_costs_the_study_none_of_its_tries(
    spool: Spool, revision: Revision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: nothing can be written while what the try wrote is there."""

    def replace(path: Path, data: bytes) -> None:
        if any(revision.path.glob("results*/filler")):
            raise FULL
        replace_file(path, data)

    monkeypatch.setattr(dicom_io.spool.records, "replace_file", replace)
    segmenter = Filling(times=4)
    step = segment_step(spool, segmenter, max_deaths=1)
    for waits in range(4):
        assert step.run(claimed(spool, revision), ["m"], waits=waits, max_waits=9) == "waiting"
        state = revision.read_state()
        assert (state.state, state.reason.code) == ("waiting", "retry_later")
        assert not revision.tries.any_died()
    assert step.run(claimed(spool, revision), ["m"], waits=4, max_waits=9) == "nothing_found"


def test_the_models_are_told_what_was_noted_of_the_study(spool: Spool, revision: Revision) -> None:
    segmenter = Filling()
    segment_step(spool, segmenter, max_deaths=1).run(claimed(spool, revision), ["m"], waits=0, max_waits=9)
    assert segmenter.notes == [("Images were still coming.",)]


def test_another_try_is_told_what_the_first_chose(spool: Spool, revision: Revision) -> None:
    chosen = RecordedChoice("0" * 64, "fast", "openvino", "2026.4.1", "bfloat16", as_before=False)
    told: list[Choices] = []
    running: list[Choices] = []

    def graph(run: StudyRun) -> Report:
        told.append(run.choices)
        run.on_choice({"m": chosen})
        running.append(revision.read_state().choices)  # before the network starts
        if len(told) == 1:
            raise RetryLater("another process holds the memory")
        return Report(study="1.2", outcome="nothing_found", device="cpu")

    step = SegmentStep(spool.root, graph, no_limit, Attempts(), 1, StudyPlaces())
    for waits, expected in enumerate(("waiting", "nothing_found")):
        assert step.run(claimed(spool, revision), ["m"], waits=waits, max_waits=9) == expected
    assert told == [{}, {"m": chosen}]
    assert running == [{"m": chosen}] * 2


def test_giving_way_to_an_urgent_study_is_none_of_a_studys_waits(spool: Spool, revision: Revision) -> None:
    """Else a routine study would fail, or come ever later, since urgent ones came."""
    problems: list[Exception] = [GaveWay("an urgent study needs the place")] * 3 + [RetryLater("the disk is full")] * 2

    def graph(run: StudyRun) -> Report:
        raise problems.pop(0)

    step = SegmentStep(spool.root, graph, no_limit, Attempts(), 1, StudyPlaces())
    for times in (1, 2, 3):
        assert step.run(claimed(spool, revision), ["m"], waits=1, max_waits=1) == "waiting"
        assert (revision.read_state().state, revision.read_state().gave_way) == ("waiting", times)
    assert step.run(claimed(spool, revision), ["m"], waits=0, max_waits=1) == "waiting"
    assert revision.read_state().gave_way == 3
    assert step.run(claimed(spool, revision), ["m"], waits=1, max_waits=1) == "failed"
    revision.write_state(state=State.FAILED)
    run_again(spool, revision.key)
    assert revision.read_state().gave_way == 0


def test_deaths_are_counted_and_a_person_may_forgive_them(spool: Spool, revision: Revision) -> None:
    claims = [claimed(spool, revision) for _ in range(2)]
    died = [Attempts().counted(revision.tries.mark(claim.number), revision.tries.counted) for claim in claims]
    for counted in died:
        counted.__enter__()  # and never left: its process died
    step = segment_step(spool, Filling(), max_deaths=2)
    assert step.run(claimed(spool, revision), ["m"], waits=0, max_waits=9) == "failed"
    outcome = revision.read_outcome()
    assert outcome is not None
    assert outcome.reason.code == "worker_died"
    assert "died 2 times" in outcome.reason.message
    revision.write_state(state=State.FAILED)
    run_again(spool, revision.key)
    assert step.run(claimed(spool, revision), ["m"], waits=0, max_waits=9) == "nothing_found"


@pytest.fixture
def pacs(peer: Callable[[str], str], tmp_path: Path) -> Iterator[StorageServer]:
    server = StorageServer(peer("storescp"), tmp_path / "pacs").start()
    yield server
    server.stop()


@pytest.fixture
def send(peer: Callable[[str], str], tmp_path: Path) -> Callable[[NodeProcess, str], str]:
    """Makes a study and sends it to a node."""

    def make_and_send(node: NodeProcess, wish: str) -> str:
        study = str(generate_uid())
        assert (
            store(peer("storescu"), node.port, "SEGNODE", write_study(tmp_path / study, study, description=wish)) == 0
        )
        return study

    return make_and_send


def runs(node: NodeProcess, study: str) -> int:
    path = node.folder / "runs.txt"
    return path.read_text().count(study) if path.exists() else 0


def test_neither_a_stop_nor_the_nodes_death_nor_a_lost_lease_counts_as_a_try(
    pacs: StorageServer, send: Callable[[NodeProcess, str], str], tmp_path: Path
) -> None:
    """In a node that gives a study one try; the stand-in would hang at the first run of each."""
    node = NodeProcess(tmp_path / "node", {"pacs": (pacs.port, "PACS")})
    node.set(work={"tries": 1}, lease_seconds=2)
    node.start()
    try:
        stopped = send(node, "hang once")
        wait_until(lambda: runs(node, stopped) == 1)
        assert node.stop() == 0
        node.start()
        assert node.wait_for_end(stopped)["state"] == "delivered"
        orphaned = send(node, "hang once")
        wait_until(lambda: runs(node, orphaned) == 1)
        node.kill_and_wait()
        node.start()
        assert node.wait_for_end(orphaned)["state"] == "delivered"
        lost = send(node, "hang once")
        wait_until(lambda: runs(node, lost) == 1)
        with closing(sqlite3.connect(node.folder / "workflow.sqlite", timeout=30)) as database, database:
            database.execute("UPDATE segnode_executors SET instance = 'another'")
        assert node.wait_for_end(lost)["state"] == "delivered"
        assert "lease_lost" in node.log.read_text()
        assert [runs(node, study) for study in (stopped, orphaned, lost)] == [2, 2, 2]
    finally:
        node.stop()


def test_a_study_that_fills_the_disk_waits_and_is_delivered(
    pacs: StorageServer, send: Callable[[NodeProcess, str], str], tmp_path: Path
) -> None:
    wrapper = in_small_tmpfs(tmp_path / "node" / "spool", 8)
    node = NodeProcess(tmp_path / "node", {"pacs": (pacs.port, "PACS")}, wrapper=wrapper)
    node.set(work={"tries": 1})
    node.start()
    node.spool = Spool(Path(f"/proc/{node.pid}/root{node.spool.root}"))
    try:
        study = send(node, "fill once")
        assert node.wait_for_end(study)["state"] == "delivered"
        assert runs(node, study) == 2
        logged = [line for line in node.log.read_text().splitlines() if "study_postponed" in line]
        assert len(logged) == 1
        assert json.dumps("No space left on device")[1:-1] in logged[0]
    finally:
        node.stop()
