"""``segnode spool rebuild``: a lost or damaged database costs no study, and sends nothing twice."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from pydicom import dcmread
from pydicom.uid import generate_uid

from app.cli.spool import rebuild
from core.errors import ConfigInvalid
from dicom_io.spool.ingest import Ingest
from dicom_io.spool.received import study_key
from dicom_io.spool.records import State
from runtime.lease_table import Holder, LeaseTable
from tests.support.arriving import Sent, put
from tests.support.node_process import ROOT, NodeProcess, free_port, wait_until, write_study
from tests.support.peers import StorageServer, store
from tests.support.postgres import Postgres


def call_rebuild(node: NodeProcess, *options: str) -> str:
    """Return the output of ``segnode spool rebuild``."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "app.cli", "spool", "rebuild", "--config", str(node.config), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_every_study_ends_and_nothing_is_sent_twice(peer: Callable[[str], str], tmp_path: Path) -> None:
    pacs = StorageServer(peer("storescp"), tmp_path / "pacs").start()
    late = StorageServer(peer("storescp"), tmp_path / "late")
    node = NodeProcess(
        tmp_path / "node",
        {"pacs": (pacs.port, "PACS"), "late": (late.port, "LATE")},
        routes={"SEGNODE": ("stub",), "OPEN": ("stub",)},
    )
    routes = yaml.safe_load(node.config.read_text())["routes"]
    node.set(routes=[routes[0], routes[1] | {"quiet_seconds": 3600}])

    def send(description: str = "", *, called_ae: str = "SEGNODE") -> str:
        study = str(generate_uid())
        folder = write_study(tmp_path / study, study, description=description)
        assert store(peer("storescu"), node.port, called_ae, folder) == 0
        return study

    node.start()
    try:
        refused, empty = send("refuse missing_slice"), send("empty")
        node.wait_for_end(refused)
        node.wait_for_end(empty)
        # One has been sent to one destination of two, two are in hand, one waits behind them, one still receives.
        half = send()
        wait_until(lambda: delivery_states(node, half) == {"pacs": "delivered", "late": "waiting"})
        runs = send("hang once")
        wait_until(lambda: runs in (node.folder / "runs.txt").read_text())
        beside = send()
        wait_until(lambda: (found := node.latest(beside)) and found.state is State.RUNNING)
        waits = send()
        wait_until(lambda: (found := node.latest(waits)) and found.state is State.WAITING)
        receives = send(called_ae="OPEN")
        node.kill_and_wait()
        node.set(routes=routes)
        (node.folder / "workflow.sqlite").unlink()
        late.start()
        begun = json.loads(call_rebuild(node, "--json"))
        unfinished = (half, runs, beside, waits)
        assert sorted(begun["begun_again"]) == sorted(f"{key_of(node, study)}/0" for study in unfinished)
        assert begun["receiving"] == [f"{key_of(node, receives)}/0"]
        assert begun["at_their_end"] == 2

        node.start()
        for study in (half, runs, beside, waits, receives):
            assert node.wait_for_end(study)["state"] == "delivered"
        assert (node.wait_for_end(refused)["state"], node.wait_for_end(empty)["state"]) == ("refused", "nothing_found")
        for server in (pacs, late):
            got = [dcmread(path) for path in server.received()]
            assert sorted(one.StudyInstanceUID for one in got) == sorted([half, runs, beside, waits, receives])
        assert (node.folder / "runs.txt").read_text().count(half) == 1
    finally:
        if node.is_running:
            node.stop()
        pacs.stop()
        late.stop()


def delivery_states(node: NodeProcess, study: str) -> dict[str, str]:
    latest = node.latest(study)
    return {name: one["state"] for name, one in latest.deliveries().items()} if latest is not None else {}


def key_of(node: NodeProcess, study: str) -> str:
    latest = node.latest(study)
    assert latest is not None
    return latest.key


def test_it_is_refused_while_a_node_works(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node", {"pacs": (free_port(), "PACS")})
    node.start()
    try:
        with pytest.raises(ConfigInvalid, match="stop it first"):
            rebuild(node.config)
    finally:
        node.stop()


def test_a_database_that_cannot_be_written_is_named_without_its_address(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node", {"pacs": (free_port(), "PACS")})
    node.spool.prepare()
    node.config.write_text(node.config.read_text().replace("workflow.sqlite", "missing/workflow.sqlite"))
    with pytest.raises(ConfigInvalid, match="database: cannot be reached") as problem:
        rebuild(node.config)
    assert str(tmp_path) not in str(problem.value)


@pytest.mark.parametrize("before", [None, b"no database", b""])
def test_whatever_file_was_there_the_new_one_has_the_work(tmp_path: Path, before: bytes | None) -> None:
    node = NodeProcess(tmp_path / "node", {"pacs": (free_port(), "PACS")})
    node.spool.prepare()
    for number, state in enumerate((State.RUNNING, State.DELIVERED, State.RECEIVING)):
        put(Ingest(node.spool), Sent("SEGNODE", f"1.2.{number}", "1.2.3", True, b"image"))
        node.spool.revision(study_key("SEGNODE", f"1.2.{number}"), 0).write_state(state=state)
    file = node.folder / "workflow.sqlite"
    if before is not None:
        file.write_bytes(before)
    assert "1 queued again, 1 receiving, 1 at their end" in call_rebuild(node)
    key = study_key("SEGNODE", "1.2.0")
    assert node.spool.revision(key, 0).state is State.WAITING
    with closing(sqlite3.connect(file)) as database:
        rows = database.execute("SELECT workflow_uuid, status, queue_name FROM workflow_status").fetchall()
    assert rows == [(f"study.{key}.{node.spool.incarnation(key)}.0.1.0", "ENQUEUED", "studies")]
    kept = list(node.folder.glob("workflow.sqlite.before-*"))
    assert [path.read_bytes() for path in kept] == ([] if before is None else [before])


def test_in_postgresql_work_of_another_day_is_dropped_and_no_node_may_be_at_work(
    postgres: Postgres, tmp_path: Path
) -> None:
    postgres.query("DROP SCHEMA IF EXISTS dbos CASCADE")
    postgres.query("DROP TABLE IF EXISTS segnode_executors, segnode_spool")
    node = NodeProcess(tmp_path / "node", {"pacs": (free_port(), "PACS")})
    node.set(database=postgres.url, lease_seconds=2)
    node.spool.prepare()
    put(Ingest(node.spool), Sent("SEGNODE", "1.2.3", "1.2.3.4", True, b"image"))
    key = study_key("SEGNODE", "1.2.3")
    node.spool.revision(key, 0).write_state(state=State.RUNNING)
    for _ in range(2):
        assert "1 queued again" in call_rebuild(node)
    query = "SELECT workflow_uuid, status, priority FROM dbos.workflow_status ORDER BY 1"
    study = f"study.{key}.{node.spool.incarnation(key)}"
    assert postgres.query(query).split() == [f"{study}.0.1.0|CANCELLED|2", f"{study}.0.2.0|ENQUEUED|2"]
    leases = LeaseTable(postgres.url, 600)
    assert leases.acquire("other-1", Holder("instance", "machine", "host", "1")) is None
    with pytest.raises(ConfigInvalid, match="other-1 work with it"):
        rebuild(node.config)
    leases.close()
