"""The worker killed while it has two studies in hand, in each pair of stages: each ends once, and one is to blame.

The node gives a study one try: whoever is to blame for a worker's death has failed, and whoever is not is delivered.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from tests.faults.table import FAULT
from tests.support.node_process import NodeProcess, wait_until, write_study
from tests.support.peers import store
from tests.support.receiver import Receiver

DELIVERED = ("delivered", None, 1)
DIED = ("failed", "worker_died", 0)
PAIRS = {
    ("reading", "reading"): (DELIVERED, DELIVERED),
    ("network", "reading"): (DIED, DELIVERED),
    ("writing", "reading"): (DELIVERED, DELIVERED),
    ("writing", "network"): (DELIVERED, DIED),
    ("writing", "writing"): (DELIVERED, DELIVERED),
}
"""The stages in which two studies are when the worker is killed, the first to come first; and what comes of them."""


@pytest.fixture(scope="module")
def pacs() -> Iterator[Receiver]:
    receiver = Receiver().start()
    yield receiver
    receiver.stop()


@pytest.fixture(scope="module")
def node(pacs: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    process = NodeProcess(tmp_path_factory.mktemp("pairs"), {"pacs": (pacs.port, "PACS")}, quiet_seconds=0.3)
    process.set(work={"tries": 1})
    process.start()
    yield process
    process.stop()


@pytest.mark.parametrize("pair", PAIRS, ids="|".join)
def test_killed_with_two_studies_in_hand(
    pair: tuple[str, str],
    node: NodeProcess,
    pacs: Receiver,
    peer: Callable[[str], str],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    record_property(FAULT, f"worker killed with one study in {pair[0]}, another in {pair[1]}")
    stages = node.folder / "stages.txt"

    def bring_to(stage: str) -> str:
        study = str(generate_uid())
        folder = write_study(tmp_path / study, study, description=f"stays {stage} once")
        assert store(peer("storescu"), node.port, "SEGNODE", folder) == 0
        wait_until(lambda: stages.exists() and f"{study} {stage}\n" in stages.read_text())
        return study

    studies = [bring_to(stage) for stage in pair]
    node.kill_child("worker")
    ends = [node.wait_for_end(study) for study in studies]
    arrived = [sum(one.study == study for one in pacs.taken) for study in studies]
    assert [
        (end["state"], end["reason"] and end["reason"]["code"], objects)
        for end, objects in zip(ends, arrived, strict=True)
    ] == list(PAIRS[pair])
