"""``node.yaml`` was changed between a study and its next try: nothing is lost, and everything comes to an end."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from pydicom.uid import generate_uid

from tests.support.node_process import NodeProcess, free_port, write_study
from tests.support.peers import StorageServer, store

HASTY = {"first_seconds": 0.2, "longest_seconds": 0.2, "give_up_after_hours": 1e-9}


@pytest.fixture
def pacs(peer: Callable[[str], str], tmp_path: Path) -> Iterator[StorageServer]:
    server = StorageServer(peer("storescp"), tmp_path / "pacs").start()
    yield server
    server.stop()


@pytest.fixture
def node(tmp_path: Path, pacs: StorageServer) -> Iterator[NodeProcess]:
    """A node whose one destination is down."""
    node = NodeProcess(tmp_path / "node", {"old": (free_port(), "OLD"), "new": (pacs.port, "PACS")})
    change(node, destinations=["old"])
    settings = yaml.safe_load(node.config.read_text())
    settings["destinations"]["old"]["retry"] = HASTY
    node.set(destinations=settings["destinations"])
    node.start()
    yield node
    node.stop()


def change(node: NodeProcess, **route: list[str]) -> None:
    settings = yaml.safe_load(node.config.read_text())
    node.set(routes=[{**settings["routes"][0], **route}])


def failed(node: NodeProcess, peer: Callable[[str], str], folder: Path) -> str:
    """A study that could not be delivered."""
    study = str(generate_uid())
    assert store(peer("storescu"), node.port, "SEGNODE", write_study(folder, study)) == 0
    assert node.wait_for_end(study)["reason"]["code"] == "not_delivered"
    return study


def again(node: NodeProcess, study: str) -> dict[str, object]:
    """How it ends when it is tried again."""
    latest = node.latest(study)
    assert latest is not None
    run = latest.read_state()["run"]
    node.studies("retry", latest.key)
    end = node.wait_for_end(study)
    assert end["run"] > run  # a start of the node that finds the request before it is queued begins a further run
    return end


def test_a_destination_that_was_renamed(
    node: NodeProcess, pacs: StorageServer, peer: Callable[[str], str], tmp_path: Path
) -> None:
    study = failed(node, peer, tmp_path / "study")
    node.stop()
    change(node, destinations=["new"])
    node.start()
    assert again(node, study)["state"] == "delivered"
    assert len(pacs.received()) == 1
    latest = node.latest(study)
    assert latest is not None
    assert {name: one["state"] for name, one in latest.deliveries().items()} == {"new": "delivered", "old": "withdrawn"}


def test_a_model_that_was_renamed(
    node: NodeProcess, pacs: StorageServer, peer: Callable[[str], str], tmp_path: Path
) -> None:
    study = failed(node, peer, tmp_path / "study")
    node.stop()
    change(node, destinations=["new"], models=["stub-2"])
    node.start()
    end = again(node, study)
    assert (end["state"], end["reason"]["code"]) == ("failed", "no_destination")  # type: ignore[index]
    assert pacs.received() == []
    assert again(node, study)["state"] == "delivered"
    assert len(pacs.received()) == 1
