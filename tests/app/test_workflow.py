"""A node with a stand-in for the models: real processes, real sockets, real kills."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from tests.node_process import NodeProcess, write_study
from tests.peers import StorageServer, store


@pytest.fixture(scope="module")
def pacs(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageServer]:
    server = StorageServer(peer("storescp"), tmp_path_factory.mktemp("pacs")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def node(pacs: StorageServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    process = NodeProcess(tmp_path_factory.mktemp("node"), {"pacs": (pacs.port, "PACS")})
    process.start()
    yield process
    process.stop()


def test_a_study_comes_back(node: NodeProcess, pacs: StorageServer, peer: Callable[[str], str], tmp_path: Path) -> None:
    study = generate_uid()
    assert store(peer("storescu"), node.port, "SEGNODE", write_study(tmp_path, study)) == 0
    assert node.wait_for_end(study)["state"] == "delivered"
    assert len(pacs.received()) == 1
