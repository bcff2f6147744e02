"""The node when its processes, its database or its destination are gone."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from tests.support.node_process import NodeProcess, free_port, is_alive, wait_until, write_study
from tests.support.peers import StorageServer, store
from tests.support.stub_worker import GO


@pytest.fixture
def pacs(peer: Callable[[str], str], tmp_path: Path) -> StorageServer:
    """A PACS that is not started."""
    return StorageServer(peer("storescp"), tmp_path / "pacs")


@pytest.fixture
def send(peer: Callable[[str], str], tmp_path: Path) -> Callable[..., str]:
    """Makes a study and sends it to a node."""

    def make_and_send(node: NodeProcess, description: str = "") -> str:
        study = str(generate_uid())
        folder = write_study(tmp_path / study, study, description=description)
        assert store(peer("storescu"), node.port, "SEGNODE", folder) == 0
        return study

    return make_and_send


def test_a_worker_killed_in_mid_study_leaves_one_result(
    pacs: StorageServer, send: Callable[..., str], tmp_path: Path
) -> None:
    pacs.start()
    node = NodeProcess(tmp_path / "node", {"pacs": (pacs.port, "PACS")})
    node.start()
    try:
        study = send(node, "held")
        wait_until(lambda: (node.folder / "runs.txt").exists())
        node.kill_child("worker")
        (node.folder / GO).touch()
        other = send(node)
        assert node.wait_for_end(study)["state"] == "delivered"
        assert node.wait_for_end(other)["state"] == "delivered"
        got = [dcmread(path).StudyInstanceUID for path in pacs.received()]
        assert sorted(got) == sorted([study, other])
    finally:
        node.stop()
        pacs.stop()


def test_a_study_that_kills_its_worker_is_set_aside(
    pacs: StorageServer, send: Callable[..., str], tmp_path: Path
) -> None:
    pacs.start()
    node = NodeProcess(tmp_path / "node", {"pacs": (pacs.port, "PACS")})
    node.start()
    try:
        study = send(node, "kill")
        end = node.wait_for_end(study)
        assert (end["state"], end["reason"]["code"]) == ("failed", "worker_died")
        other = send(node)
        assert node.wait_for_end(other)["state"] == "delivered"
    finally:
        node.stop()
        pacs.stop()


def test_a_killed_node_takes_its_children_along_and_goes_on_where_it_was(
    pacs: StorageServer, send: Callable[..., str], tmp_path: Path
) -> None:
    pacs.start()
    node = NodeProcess(tmp_path / "node", {"pacs": (pacs.port, "PACS")})
    node.start()
    try:
        study = send(node, "held")
        wait_until(lambda: (node.folder / "runs.txt").exists())
        node.kill_and_wait()
        (node.folder / GO).touch()
        node.start()
        assert node.wait_for_end(study)["state"] == "delivered"
        assert len(pacs.received()) == 1
    finally:
        node.stop()
        pacs.stop()


def test_a_killed_listener_comes_back(send: Callable[..., str], tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node", {"pacs": (free_port(), "PACS")})
    node.start()
    try:
        ready = node.log.read_text().count("process_reported_ready child=listener")
        node.kill_child("listener")
        wait_until(lambda: node.log.read_text().count("process_reported_ready child=listener") > ready)
        send(node)
    finally:
        node.stop()


def test_a_dead_destination_delays_no_other_and_gets_its_result_later(
    pacs: StorageServer, peer: Callable[[str], str], send: Callable[..., str], tmp_path: Path
) -> None:
    pacs.start()
    late = StorageServer(peer("storescp"), tmp_path / "late")
    node = NodeProcess(tmp_path / "node", {"pacs": (pacs.port, "PACS"), "late": (late.port, "LATE")})
    node.start()
    try:
        studies = [send(node) for _ in range(3)]
        wait_until(lambda: len(pacs.received()) == 3)
        late.start()
        for study in studies:
            assert node.wait_for_end(study)["state"] == "delivered"
        got = [sorted(path.read_bytes() for path in server.received()) for server in (pacs, late)]
        assert got[0] == got[1]
    finally:
        node.stop()
        pacs.stop()
        late.stop()


def test_the_database_is_rebuilt_from_the_spool(pacs: StorageServer, send: Callable[..., str], tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node", {"pacs": (pacs.port, "PACS")})
    node.start()
    try:
        study = send(node)
        wait_until(lambda: "delivery_postponed" in node.log.read_text())
        node.stop()
        (node.folder / "workflow.sqlite").unlink()
        pacs.start()
        node.start()
        assert node.wait_for_end(study)["state"] == "delivered"
        assert len(pacs.received()) == 1
        assert (node.folder / "runs.txt").read_text().count(study) == 1
    finally:
        node.stop()
        pacs.stop()


def test_stopping_is_clean(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node", {"pacs": (free_port(), "PACS")})
    assert node.start() == f"ready ae=SEGNODE port={node.port}"
    children = [node.pid_of("listener"), node.pid_of("worker")]
    assert node.stop() == 0
    assert not any(is_alive(pid) for pid in children)
    assert "Traceback" not in node.log.read_text()


def test_the_idle_node_is_quiet(tmp_path: Path) -> None:
    """All processes together use less than a tenth of a core while nothing comes."""
    node = NodeProcess(tmp_path / "node", {"pacs": (free_port(), "PACS")})
    node.start()
    try:
        children = [node.pid_of("listener"), node.pid_of("worker")]

        def cpu_s() -> float:
            fields = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in children]
            return sum(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")

        def spent_s(seconds: float) -> float:
            before = cpu_s()
            time.sleep(seconds)
            return cpu_s() - before

        wait_until(lambda: spent_s(1) < 0.1)  # it has begun
        log_before = node.log.read_text()
        assert spent_s(4) < 0.5
        assert node.log.read_text() == log_before
    finally:
        node.stop()
