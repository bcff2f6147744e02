"""The name that peers and readers of files see, as DCMTK and pydicom read it."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, SegmentationStorage, generate_uid
from pynetdicom import AE, evt
from pynetdicom.events import Event

from core.errors import RetryLater
from core.label_map import LabelMap
from dicom_io.commitment.request import PUSH_MODEL, ask_for_commitment
from dicom_io.commitment.transactions import Transactions
from dicom_io.delivery.find_scu import STUDY_ROOT_FIND, find_series
from dicom_io.delivery.store_scu import Destination, send_object
from dicom_io.implementation import IMPLEMENTATION_VERSION_NAME
from dicom_io.results.notice_image import Notice, build_notice, read_notice_header
from dicom_io.results.seg.build import build_seg, write_seg
from tests.support.listener_process import ListenerProcess
from tests.support.node_process import free_port, make_image, write_study
from tests.support.peers import store
from tests.support.seg_cases import LABELS, context, made_case

CLASS_UID = "2.25.144660371970246399095545388244536195982"
"""Written out: the UID is the same for every version, whatever the code derives."""

Request = Callable[[Destination, Path], object]


@contextmanager
def peer_that_notes(noted: list[tuple[str, str]]) -> Iterator[Destination]:
    """A peer that notes how each requester introduces itself."""

    def note(event: Event) -> None:
        requestor = event.assoc.requestor
        noted.append((str(requestor.implementation_class_uid), str(requestor.implementation_version_name)))

    ae = AE(ae_title="PACS")
    for sop_class in (SegmentationStorage, STUDY_ROOT_FIND, PUSH_MODEL):
        ae.add_supported_context(sop_class)
    port = free_port()
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_ACCEPTED, note)])
    try:
        yield Destination("127.0.0.1", port, "PACS")
    finally:
        server.shutdown()


def _send(destination: Destination, folder: Path) -> None:
    path = folder / "result.dcm"
    make_image(generate_uid(), sop_class=SegmentationStorage).save_as(path, enforce_file_format=True)
    send_object(path, destination, "SEGNODE")


def _find(destination: Destination, folder: Path) -> None:
    find_series(destination, "SEGNODE", "1.2.3", {})


def _commit(destination: Destination, folder: Path) -> None:
    ask_for_commitment(Transactions(folder), "1.2.3.4", destination, "SEGNODE")


@pytest.mark.parametrize("request_of", [_send, _find, _commit])
def test_peer_sees_the_projects_own_implementation_in_every_request(request_of: Request, tmp_path: Path) -> None:
    noted: list[tuple[str, str]] = []
    with peer_that_notes(noted) as destination, suppress(RetryLater):  # this peer answers no request with success
        request_of(destination, tmp_path)
    assert [uid for uid, _ in noted] == [CLASS_UID]
    assert all(name.startswith("SEGNODE_") for _, name in noted)


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListenerProcess]:
    process = ListenerProcess(tmp_path_factory.mktemp("listener"))
    yield process
    process.stop()


def test_dcmtk_sees_the_implementation_in_the_listeners_answer(
    listener: ListenerProcess, peer: Callable[[str], str]
) -> None:
    command = [peer("echoscu"), "-d", "-aec", "SEGNODE", "127.0.0.1", str(listener.port)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - a peer found by name
    theirs = [" ".join(line.split()) for line in done.stderr.splitlines() if "Their Implementation" in line]
    assert f"D: Their Implementation Class UID: {CLASS_UID}" in theirs
    assert f"D: Their Implementation Version Name: {IMPLEMENTATION_VERSION_NAME}" in theirs


def test_dcmtk_reads_the_implementation_in_a_received_file(
    listener: ListenerProcess, peer: Callable[[str], str], tmp_path: Path
) -> None:
    study = generate_uid()
    write_study(tmp_path, study)
    assert store(peer("storescu"), listener.port, "SEGNODE", tmp_path) == 0
    command = [peer("dcmdump"), "+P", "0002,0012", "+P", "0002,0013", str(listener.images(study)[0])]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - a peer
    assert f"[{CLASS_UID}]" in said
    assert "[SEGNODE_" in said


def _is_signed(path: Path) -> bool:
    meta = dcmread(path, stop_before_pixels=True).file_meta
    return meta.ImplementationClassUID == CLASS_UID and meta.ImplementationVersionName.startswith("SEGNODE_")


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_seg_and_notice_carry_the_implementation(kind: str, tmp_path: Path) -> None:
    case = made_case(tmp_path / "images")
    array = np.ones(case.volume.geometry.shape, np.uint8)
    label_map = LabelMap(array, case.volume.geometry, LABELS)
    seg = build_seg(label_map, case.volume, case.sources, context(segmentation_type=kind))
    write_seg(seg, tmp_path / "x.seg.dcm")
    assert _is_signed(tmp_path / "x.seg.dcm")
    header = read_notice_header(tmp_path / "images")
    assert isinstance(header, Dataset)
    notice = Notice("refused", "missing_slice", "A slice is missing inside the series.", ("liver",), "0" * 16)
    write_seg(build_notice(notice, header, str(header.StudyInstanceUID), [0]), tmp_path / "notice.dcm")
    assert _is_signed(tmp_path / "notice.dcm")


def test_the_class_uid_is_valid() -> None:
    assert UID(CLASS_UID).is_valid
    assert int(CLASS_UID.removeprefix("2.25.")) < 2**128
