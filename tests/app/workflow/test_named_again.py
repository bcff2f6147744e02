"""A destination that a route named no more, and names again: it gets what it has not got."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from pydicom.uid import generate_uid

from app.workflow.deliveries import begin_delivery
from dicom_io.spool.records import Delivery
from dicom_io.spool.revision import Revision
from tests.support.node_process import NodeProcess, free_port, write_study
from tests.support.peers import StorageServer, store

HASTY = {"first_seconds": 0.2, "longest_seconds": 0.2, "give_up_after_hours": 1e-9}


@pytest.fixture
def pacs(peer: Callable[[str], str], tmp_path: Path) -> Iterator[StorageServer]:
    server = StorageServer(peer("storescp"), tmp_path / "pacs").start()
    yield server
    server.stop()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    """A node whose two destinations are down; only the first is named by its route."""
    node = NodeProcess(tmp_path / "node", {"first": (free_port(), "PACS"), "second": (free_port(), "SECOND")})
    for name in ("first", "second"):
        change(node, name, retry=HASTY)
    send_to(node, "first")
    node.start()
    yield node
    node.stop()


def change(node: NodeProcess, destination: str, **settings: object) -> None:
    destinations = yaml.safe_load(node.config.read_text())["destinations"]
    destinations[destination] |= settings
    node.set(destinations=destinations)


def send_to(node: NodeProcess, destination: str) -> None:
    route = yaml.safe_load(node.config.read_text())["routes"][0]
    node.set(routes=[{**route, "destinations": [destination]}])


def states(node: NodeProcess, study: str) -> dict[str, str]:
    latest = node.latest(study)
    assert latest is not None
    return {name: one["state"] for name, one in latest.deliveries().items()}


def again(node: NodeProcess, study: str) -> str:
    """Return the end of another try under the present settings."""
    latest = node.latest(study)
    assert latest is not None
    node.stop()
    node.start()
    node.studies("retry", latest.key)
    return str(node.wait_for_end(study)["state"])


def test_a_destination_that_is_named_again(
    node: NodeProcess, pacs: StorageServer, peer: Callable[[str], str], tmp_path: Path
) -> None:
    study = str(generate_uid())
    assert store(peer("storescu"), node.port, "SEGNODE", write_study(tmp_path / "study", study)) == 0
    assert node.wait_for_end(study)["state"] == "failed"
    send_to(node, "second")
    assert again(node, study) == "failed"
    assert states(node, study) == {"first": "withdrawn", "second": "failed"}
    send_to(node, "first")
    change(node, "first", port=pacs.port)
    assert again(node, study) == "delivered"
    assert states(node, study) == {"first": "delivered", "second": "withdrawn"}
    assert len(pacs.received()) == 1


WITHDRAWN = Delivery(
    ("a", "notice-1"),
    sent=("a", "notice-1"),
    state="withdrawn",
    attempts=3,
    rounds=2,
    transaction="2.25.1",
    looked=4,
    unknown={"later": 1},
)


def test_objects_accepted_before_are_not_sent_again(tmp_path: Path) -> None:
    revision = Revision(tmp_path, 0, "key")
    revision.write_delivery("pacs", WITHDRAWN)
    begin_delivery(revision, "pacs", ["a", "b"])
    assert revision.read_delivery("pacs") == Delivery(("a", "b"), sent=("a",), unknown={"later": 1})


@pytest.mark.parametrize("state", ["waiting", "committing", "delivered", "committed", "refused", "failed"])
def test_a_delivery_that_was_not_withdrawn_is_left_as_it_is(tmp_path: Path, state: str) -> None:
    revision, known = Revision(tmp_path, 0, "key"), Delivery(("a",), state=state, attempts=2)
    revision.write_delivery("pacs", known)
    begin_delivery(revision, "pacs", ["a", "b"])
    assert revision.read_delivery("pacs") == known
