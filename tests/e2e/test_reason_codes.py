"""Every way to break a study, pushed to one running node: each is refused with its code, and nothing is sent."""

import struct
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE

from core.errors import ReasonCode
from phantom import make_phantom, trunk_geometry
from phantom.series import make_series
from phantom.tags import SeriesTags, StudyTags
from tests.conftest import FAULT
from tests.support.node_process import SEGNODE, NodeProcess, wait_until
from tests.support.peers import StorageServer
from tests.support.series_faults import FAULTS, path_as_uid
from tests.support.upper_layer import Connection, associate_rq, command, p_data, pdv

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


def send_damaged(port: int, called_ae: str, dataset: Dataset) -> int | None:
    """Send an image whose header breaks off after its UIDs; the status of the answer."""
    buffer = BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=False)
    content = buffer.getvalue()
    start = content.index(struct.pack("<HH", 0x0008, 0x0016))
    whole = content[: content.index(struct.pack("<HH", 0x0028, 0x0002))][start:]
    cut = whole + struct.pack("<HH2sHL", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF)
    contexts = [(3, str(dataset.SOPClassUID), (str(ExplicitVRLittleEndian),))]
    with Connection(port) as connection:
        connection.associate(associate_rq(called_ae, contexts=contexts))
        head = command(1, str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), has_data=True)
        connection.send(p_data(pdv(3, 3, head)) + p_data(pdv(3, 2, cut)))
        return connection.status()


def test_images_that_cannot_be_read_are_told_to_the_operator(
    node: NodeProcess, record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, "an image whose header breaks off, among whole ones")
    series = ct("damaged")
    study = str(series[0].StudyInstanceUID)
    assert send_damaged(node.port, "TINY", series.pop(4)) == 0
    assert set(push(node.port, "TINY", series)) == {0}

    def message() -> str:
        # On a slow machine the images make two revisions; the last has all of them.
        latest = node.latest(study)
        reason = latest.read_state()["reason"] if latest is not None and latest.state.is_final else None
        return str(reason["message"]) if reason is not None else ""

    assert wait_until(lambda: message().endswith("1 image could not be read."))
    latest = node.latest(study)
    assert latest is not None
    shown = node.studies("show", latest.key)["revisions"][-1]
    assert shown["reason"]["code"] == "missing_slice"
    assert [one["message"] for one in shown["warnings"]] == [
        "Files beside the series could not be read. 1 image could not be read."
    ]
    log = node.log.read_text()
    assert "1 image could not be read." in next(
        line for line in log.splitlines() if latest.key in line and "study_warning_raised" in line
    )


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
