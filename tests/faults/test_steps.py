"""Worker and node killed in each step, and the disk full or read-only in each: a study is delivered, once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from dicom_io.spool.received import study_key
from dicom_io.spool.spool import Spool
from tests.faults.table import FAULT
from tests.support.namespace import in_small_tmpfs
from tests.support.node_process import NodeProcess, wait_until, write_study
from tests.support.peers import store
from tests.support.receiver import Receiver

PROGRAM = ("-m", "tests.support.stub_node", "tests.faults.steps_worker")
STEPS = ("route", "segment", "prepare_delivery", "send", "finish")
TROUBLES = ("full", "sealed")
KILLS = [f"die {step} {target}" for target in ("worker", "node") for step in STEPS]
NAMES = {
    "die": "{1} killed at the end of {0}, before that is noted",
    "full": "disk full in {0}",
    "sealed": "read-only file system in {0}",
    "handles": "no file handles in the worker in {0}",
}
SPOOL_MIB = 8

Record = Callable[[str, object], None]


def name_of(wish: str) -> str:
    """The row's name, for a study's description."""
    what, *where = wish.split()
    return NAMES[what].format(*where)


@dataclass
class Ward:
    """A node, the PACS it delivers to, and who sends to it."""

    node: NodeProcess
    pacs: Receiver
    send: Callable[[Sequence[str]], dict[str, str]]

    def end_of(self, study: str) -> str:
        """Return a study's final state and its results on the PACS; restart the node if it was killed."""

        def final() -> bool:
            if not self.node.is_running:
                self.node.launch()
            latest = self.node.latest(study)
            return latest is not None and latest.state.is_final

        wait_until(final)
        taken = {(one.instance, one.digest) for one in self.pacs.taken if one.study == study}
        return f"{self.node.wait_for_end(study)['state']}, {len(taken)} object{'' if len(taken) == 1 else 's'}"

    def happened(self, study: str) -> bool:
        """Tell whether the event that a study waits for has happened."""
        return (self.node.folder / f"happened-{study_key('SEGNODE', study)}").exists()


@pytest.fixture(scope="module")
def ward(
    request: pytest.FixtureRequest, peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ward]:
    storescu, folder = peer("storescu"), tmp_path_factory.mktemp("ward")
    wrapper = in_small_tmpfs(folder / "node" / "spool", SPOOL_MIB) if request.param == "small" else ()
    pacs = Receiver().start()
    node = NodeProcess(
        folder / "node", {"pacs": (pacs.port, "PACS")}, program=PROGRAM, quiet_seconds=1.0, wrapper=wrapper
    )

    def send(wishes: Sequence[str]) -> dict[str, str]:
        studies = {wish: str(generate_uid()) for wish in wishes}
        batch = folder / f"batch {wishes[0]}"
        for wish, study in studies.items():
            write_study(batch / study, study, description=wish)

        def sent() -> bool:
            # The last study of the kind before may have been final an instant before its node was killed.
            if not node.is_running:
                node.launch()
            return store(storescu, node.port, "SEGNODE", batch) == 0

        wait_until(sent)
        return studies

    node.start()
    if wrapper:
        node.spool = Spool(Path(f"/proc/{node.pid}/root{node.spool.root}"))
    yield Ward(node, pacs, send)
    node.stop()
    pacs.stop()


@pytest.fixture(scope="module")
def studies(ward: Ward) -> dict[str, str]:
    """The study of each row that was sent; those of a kind are sent together, so that each meets the others' fault."""
    return {}


def end_of(wish: str, kind: Sequence[str], ward: Ward, studies: dict[str, str]) -> str:
    """Return the final state of a row's study."""
    if wish not in studies:
        studies |= ward.send(kind)
    end = ward.end_of(studies[wish])
    assert ward.happened(studies[wish])
    return end


@pytest.mark.parametrize("ward", ["plain"], indirect=True)
@pytest.mark.parametrize("wish", KILLS)
def test_killed(wish: str, ward: Ward, studies: dict[str, str], record_property: Record) -> None:
    record_property(FAULT, name_of(wish))
    assert end_of(wish, KILLS, ward, studies) == "delivered, 1 object"


@pytest.mark.parametrize("ward", ["plain"], indirect=True)
@pytest.mark.parametrize("step", STEPS)
def test_without_handles(step: str, ward: Ward, studies: dict[str, str], record_property: Record) -> None:
    wish = f"handles {step}"
    record_property(FAULT, name_of(wish))
    assert end_of(wish, [f"handles {one}" for one in STEPS], ward, studies) == "delivered, 1 object"


@pytest.mark.parametrize("ward", ["small"], indirect=True)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_troubled(trouble: str, step: str, ward: Ward, studies: dict[str, str], record_property: Record) -> None:
    wish = f"{trouble} {step}"
    record_property(FAULT, name_of(wish))
    kind = [f"{trouble} {one}" for one in STEPS]
    assert end_of(wish, kind, ward, studies) == "delivered, 1 object"
