"""Every way to break a study, pushed to one running node: each is refused with its code, and nothing is sent."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE

from core.errors import ReasonCode
from phantom import make_phantom, trunk_geometry
from phantom.series import make_series
from phantom.tags import SeriesTags, StudyTags
from tests.conftest import FAULT
from tests.support.node_process import SEGNODE, NodeProcess, wait_until
from tests.support.peers import StorageServer
from tests.support.series_faults import FAULTS, path_as_uid

# Two images under one UID are one object to a receiver only if they are equal; both are kept, and refused together.
CASES = {fault.__name__: (code, fault) for code, faults in FAULTS.items() for fault in faults if fault != path_as_uid}


BY_THE_NODE = {ReasonCode.DUPLICATE_UID: ReasonCode.MISSING_SLICE}
"""The second image of one UID is quarantined when it is received, so what the reader finds is that it is not there."""


def ct(name: str, *, description: str = "portal", gap: float = 30.0) -> list[Dataset]:
    """A small good CT series of a study of its own."""
    phantom = make_phantom(trunk_geometry((gap, 6.0, 9.0), extent=(240.0, 204.0, 315.0)))
    return make_series(phantom, study=StudyTags(name=name), series=SeriesTags(description=description))


def push(port: int, called_ae: str, datasets: list[Dataset]) -> list[int]:
    """Status of each C-STORE, sent over one association."""
    ae = AE(ae_title="MODALITY")
    for dataset in {(d.SOPClassUID, d.file_meta.TransferSyntaxUID): d for d in datasets}.values():
        ae.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", port, ae_title=called_ae)
    assert association.is_established
    try:
        return [int(association.send_c_store(dataset).Status) for dataset in datasets]
    finally:
        association.release()


@pytest.fixture(scope="module")
def pacs(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageServer]:
    server = StorageServer(peer("storescp"), tmp_path_factory.mktemp("pacs")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def node(pacs: StorageServer, models_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    process = NodeProcess(
        tmp_path_factory.mktemp("node"),
        {"pacs": (pacs.port, "PACS")},
        routes={"TINY": ["tiny"], "PORTAL": ["portal"], "PAIR": ["pair"]},
        models_folder=models_folder,
        program=SEGNODE,
        quiet_seconds=4.0,
    )
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def ends(node: NodeProcess) -> Mapping[str, dict[str, str]]:
    """State of every broken study by the name of its fault, once the node is idle."""
    studies = {}
    for name, (_, fault) in CASES.items():
        broken = fault(ct(name))
        studies[name] = str(broken[0].StudyInstanceUID)
        assert set(push(node.port, "TINY", broken)) == {0}, name
    other = ct("no fitting series", description="native")
    studies["no fitting series"] = str(other[0].StudyInstanceUID)
    push(node.port, "PORTAL", other)
    pair = ct("grids", description="first") + ct("grids", description="second", gap=24.0)
    studies["grids"] = str(pair[0].StudyInstanceUID)
    push(node.port, "PAIR", pair)
    found = {name: node.wait_for_end(study) for name, study in studies.items()}
    wait_until(node.is_idle)
    return found


@pytest.mark.parametrize(
    ("name", "code"),
    [(name, code) for name, (code, _) in CASES.items()]
    + [("no fitting series", ReasonCode.NO_MATCHING_SERIES), ("grids", ReasonCode.GRIDS_DIFFER)],
)
def test_a_broken_study_is_refused_with_its_code(
    ends: Mapping[str, dict[str, str]],
    pacs: StorageServer,
    name: str,
    code: ReasonCode,
    record_property: Callable[[str, object], None],
) -> None:
    record_property(FAULT, f"study sent with {name.replace('_', ' ')}")
    code = BY_THE_NODE.get(code, code)
    assert (ends[name]["state"], ends[name]["reason"]["code"]) == ("refused", code)  # type: ignore[index]
    assert pacs.received() == []


# The test's own pydicom warns of what the test makes it send.
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
def test_a_path_as_uid_is_refused_at_the_door(node: NodeProcess) -> None:
    before = node.spool.study_keys()
    assert 0 not in push(node.port, "TINY", path_as_uid(ct("path")))
    assert node.spool.study_keys() == before


def test_the_same_node_sends_the_result_of_a_good_study(
    ends: Mapping[str, dict[str, str]], node: NodeProcess, pacs: StorageServer
) -> None:
    """Without this, nothing sent would prove nothing."""
    assert pacs.received() == []
    good = ct("good")
    push(node.port, "TINY", good)
    assert node.wait_for_end(str(good[0].StudyInstanceUID))["state"] == "delivered"
    assert len(pacs.received()) == 1
