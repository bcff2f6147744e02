"""Housekeeping of the node: a study that comes again after that is new, and the database does not grow for ever."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from dbos import DBOS
from pydicom.uid import generate_uid

import app.node.housekeeping
from app.node.housekeeping import Housekeeping
from runtime.durable_queue import FORGOTTEN_AT_ONCE, forget_ended
from tests.support.node_process import NodeProcess, wait_until, write_study
from tests.support.peers import StorageServer, store

# What still waits is as old, and told apart: when it goes on, it is over too, until the next time in an hour.
AGE = "UPDATE workflow_status SET created_at = CASE WHEN status IN ('SUCCESS', 'ERROR') THEN 1 ELSE 2 END"
OLD = "SELECT COUNT(*) FROM workflow_status WHERE created_at = 1 AND status IN ('SUCCESS', 'ERROR')"
ORPHANS = """
    SELECT COUNT(*) FROM operation_outputs WHERE workflow_uuid NOT IN (SELECT workflow_uuid FROM workflow_status)
"""


@pytest.fixture
def pacs(peer: Callable[[str], str], tmp_path: Path) -> Iterator[StorageServer]:
    server = StorageServer(peer("storescp"), tmp_path / "pacs").start()
    yield server
    server.stop()


def rows(node: NodeProcess, query: str) -> list[tuple[object, ...]]:
    """Return the rows of an SQL statement in the node's database."""
    with closing(sqlite3.connect(node.folder / "workflow.sqlite", timeout=30)) as database, database:
        return database.execute(query).fetchall()


def test_a_forgotten_study_comes_again_and_old_work_is_deleted(
    peer: Callable[[str], str], pacs: StorageServer, tmp_path: Path
) -> None:
    late = StorageServer(peer("storescp"), tmp_path / "late")
    node = NodeProcess(tmp_path / "node", {"pacs": (pacs.port, "PACS"), "late": (late.port, "LATE")})
    study, waiting = str(generate_uid()), str(generate_uid())

    def send(study: str) -> None:
        assert store(peer("storescu"), node.port, "SEGNODE", write_study(tmp_path / study, study)) == 0

    node.start()
    try:
        late.start()
        send(study)
        assert node.wait_for_end(study)["state"] == "delivered"
        latest = node.latest(study)
        assert latest is not None
        node.studies("forget", latest.key, "--yes")
        send(study)
        assert node.wait_for_end(study)["state"] == "delivered"
        assert (node.folder / "runs.txt").read_text().count(study) == 2

        late.stop()
        send(waiting)
        wait_until(lambda: "delivery_postponed" in node.log.read_text())
        node.stop()
        rows(node, AGE)
        assert rows(node, OLD) != [(0,)]
        node.start()
        wait_until(lambda: rows(node, OLD) == [(0,)])
        assert rows(node, ORPHANS) == [(0,)]
        late.start()
        assert node.wait_for_end(waiting)["state"] == "delivered"
    finally:
        node.stop()
        late.stop()


class One:
    """A workflow that is over."""

    def __init__(self, number: int) -> None:
        self.workflow_id = f"study.{number}"


def test_a_batch_is_small_and_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, deleted = [], []

    def list_workflows(**terms: object) -> list[One]:
        asked.append(terms)
        return [One(number) for number in range(3)]

    monkeypatch.setattr(DBOS, "list_workflows", list_workflows)
    monkeypatch.setattr(DBOS, "delete_workflows", deleted.append)
    assert forget_ended(7.0) == 3
    assert deleted == [["study.0", "study.1", "study.2"]]
    assert asked[0]["limit"] == FORGOTTEN_AT_ONCE
    assert not asked[0].get("sort_desc")
    assert not set(asked[0]["status"]) & {"PENDING", "ENQUEUED", "DELAYED"}  # type: ignore[call-overload]


def test_full_batches_follow_one_another_and_then_there_is_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    class Quiet:
        versions = frozenset({"4"})

        def look(self) -> None:
            """Nothing is open."""

        def settle(self) -> None:
            """Nobody is idle."""

        def study_keys(self) -> list[str]:
            return []

    left = [FORGOTTEN_AT_ONCE, FORGOTTEN_AT_ONCE, 7, 0, 0]
    monkeypatch.setattr(app.node.housekeeping, "forget_ended", lambda days: left.pop(0))
    quiet = Quiet()
    housekeeping = Housekeeping(quiet, quiet, quiet, quiet, quiet)  # type: ignore[arg-type]
    for _ in range(5):
        housekeeping.look()
    assert left == [0, 0]
