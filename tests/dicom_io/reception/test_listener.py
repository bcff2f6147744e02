"""The listener's process, over real sockets: DCMTK for what is usual, hand-made requests for what is hostile."""

import resource
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, CTImageStorage, DeflatedExplicitVRLittleEndian, MRImageStorage, generate_uid
from pynetdicom import AE

from dicom_io.reception.presentation_contexts import TRANSFER_SYNTAXES
from dicom_io.reception.storage_scp import (
    CANNOT_UNDERSTAND,
    DOES_NOT_MATCH,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    SUCCESS,
)
from dicom_io.spool.received import study_key
from tests.faults.objects import image_bytes, store_command
from tests.support.listener_process import ListenerProcess
from tests.support.node_process import ROOT, make_image, wait_until, write_study
from tests.support.peers import store
from tests.support.upper_layer import Connection, p_data, pdv

HEAVY = ("torch", "nnunetv2", "holoscan", "SimpleITK", "monai", "highdicom", "dbos", "scipy")


# The test's own pydicom warns of what the test makes it send.
SENDS_NONSENSE = pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListenerProcess]:
    process = ListenerProcess(tmp_path_factory.mktemp("listener"))
    yield process
    process.stop()


def send(listener: ListenerProcess, image: Dataset, *, instance: str | None = None) -> int:
    """Status of one C-STORE; the command may name another instance than the data set."""
    ae = AE(ae_title="TEST")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 120  # for a disk that others keep busy
    ae.add_requested_context(image.SOPClassUID, image.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", listener.port, ae_title="SEGNODE")
    assert association.is_established
    assert association.accepted_contexts
    try:
        if instance is not None:
            inner = image.copy()
            image = _Misnamed(inner)
            image.file_meta = inner.file_meta
            image.named = instance
        return int(association.send_c_store(image).Status)
    finally:
        association.release()


class _Misnamed(Dataset):
    """Tells its sender another SOP Instance UID than it carries."""

    named = ""

    def __getattr__(self, name: str) -> object:
        if name == "SOPInstanceUID":
            return UID(self.named)
        return super().__getattr__(name)


def dataset_bytes(path: Path) -> bytes:
    """The encoded data set of a DICOM file, without its file meta information."""
    content = path.read_bytes()
    return content[144 + struct.unpack("<I", content[140:144])[0] :]


def test_echo(listener: ListenerProcess, peer: Callable[[str], str]) -> None:
    def echo(called_ae: str) -> int:
        command = [peer("echoscu"), "-aec", called_ae, "127.0.0.1", str(listener.port)]
        return subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603 - a peer found by name

    assert echo("SEGNODE") == 0
    assert echo("LIVER") == 0
    assert echo("NOBODY") != 0


def test_objects_of_storescu_are_stored_byte_for_byte(
    listener: ListenerProcess, peer: Callable[[str], str], tmp_path: Path
) -> None:
    study = generate_uid()
    sent = write_study(tmp_path, study, images=5)
    assert store(peer("storescu"), listener.port, "LIVER", sent, options=("-xe",)) == 0
    stored = listener.images(study, "LIVER")
    assert sorted(map(dataset_bytes, stored)) == sorted(dataset_bytes(path) for path in sent.iterdir())
    assert all(dcmread(path).PatientID == "CANARY-ID" for path in stored)


def test_an_unknown_called_ae_stores_nothing(
    listener: ListenerProcess, peer: Callable[[str], str], tmp_path: Path
) -> None:
    study = generate_uid()
    assert store(peer("storescu"), listener.port, "NOBODY", write_study(tmp_path, study)) != 0
    assert listener.images(study, "NOBODY") == []
    assert study_key("NOBODY", study) not in listener.spool.study_keys()


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES, ids=lambda uid: uid.keyword)
def test_every_transfer_syntax_is_taken_as_it_is(listener: ListenerProcess, syntax: UID) -> None:
    image = make_image(generate_uid())
    image.file_meta.TransferSyntaxUID = syntax
    if syntax.is_compressed:
        image.PixelData = encapsulate([b"compressed"])
        image["PixelData"].is_undefined_length = True
    assert send(listener, image) == SUCCESS
    (stored,) = listener.images(image.StudyInstanceUID)
    assert dcmread(stored).file_meta.TransferSyntaxUID == syntax


def test_deflated_is_not_negotiated(listener: ListenerProcess) -> None:
    ae = AE()
    ae.add_requested_context(CTImageStorage, DeflatedExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", listener.port, ae_title="SEGNODE")
    assert not association.is_established


@SENDS_NONSENSE
@pytest.mark.parametrize("uid", ["../../etc/x", "/abs/path", "1.2.3\x004", "", "1" * 64])
def test_no_uid_becomes_a_path(listener: ListenerProcess, uid: str) -> None:
    before = listener.spool.study_keys()
    image = make_image(uid)
    image.SOPInstanceUID = generate_uid()
    assert send(listener, image) == CANNOT_UNDERSTAND
    assert listener.spool.study_keys() == before


@SENDS_NONSENSE
def test_command_and_data_set_must_name_the_same_instance(listener: ListenerProcess) -> None:
    image = make_image(generate_uid())
    assert send(listener, image, instance=generate_uid()) == DOES_NOT_MATCH
    assert send(listener, image, instance="../../x") == CANNOT_UNDERSTAND
    assert listener.images(image.StudyInstanceUID) == []


def test_a_full_disk_is_reported_and_recovered_from(listener: ListenerProcess) -> None:
    image = make_image(generate_uid())
    limits = resource.prlimit(listener.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(listener.process.pid, resource.RLIMIT_FSIZE, (512, limits[1]))
    try:
        assert send(listener, image) == OUT_OF_RESOURCES
    finally:
        resource.prlimit(listener.process.pid, resource.RLIMIT_FSIZE, limits)
    assert list((listener.spool.root / "incoming").iterdir()) == []
    assert listener.images(image.StudyInstanceUID) == []
    assert send(listener, image) == SUCCESS
    assert len(listener.images(image.StudyInstanceUID)) == 1


def test_a_study_that_is_damaged_on_the_disk_holds_up_no_other(listener: ListenerProcess) -> None:
    damaged, other = generate_uid(), generate_uid()
    assert send(listener, make_image(damaged)) == SUCCESS
    revision = listener.spool.latest_revision(study_key("SEGNODE", damaged))
    assert revision is not None
    (revision.path / "state.json").write_text("")
    with Connection(listener.port) as connection:
        connection.associate()
        for study in (damaged, other):
            connection.send(p_data(pdv(3, 3, store_command(study, 2))) + p_data(pdv(3, 2, image_bytes(study, 2))))
        assert [connection.status(), connection.status()] == [PROCESSING_FAILURE, SUCCESS]
    assert "object_not_stored reason=damaged_study" in listener.log.read_text()
    assert list((listener.spool.root / "incoming").iterdir()) == []
    assert len(listener.images(other)) == 1


def test_own_results_are_answered_and_not_kept(listener: ListenerProcess) -> None:
    image = make_image(generate_uid())
    listener.spool.own.add(image.SOPInstanceUID)
    assert send(listener, image) == SUCCESS
    assert study_key("SEGNODE", image.StudyInstanceUID) not in listener.spool.study_keys()


def test_a_sender_that_dies_leaves_nothing_half(listener: ListenerProcess) -> None:
    image = make_image(generate_uid(), sop_class=MRImageStorage)
    image.PixelData = bytes(4_000_000)
    ae = AE()
    ae.add_requested_context(MRImageStorage, image.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", listener.port, ae_title="SEGNODE")
    connection = association.dul.socket.socket
    # A P-DATA-TF that promises more than comes, then a reset.
    connection.sendall(struct.pack(">BBL", 4, 0, 100_000) + bytes(1000))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    association.abort()
    assert list((listener.spool.root / "incoming").iterdir()) == []
    assert listener.images(image.StudyInstanceUID) == []
    assert send(listener, image) == SUCCESS


def test_an_endless_pdu_ends_the_connection_and_takes_no_memory(listener: ListenerProcess) -> None:
    def resident_kib() -> int:
        status = Path(f"/proc/{listener.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    before = resident_kib()
    with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as connection:
        connection.sendall(struct.pack(">BBL", 1, 0, 0xFFFFFFFF))
        block = bytes(1 << 20)
        with pytest.raises(OSError):  # noqa: PT012 - the node may hang up during any of these
            for _ in range(200):
                connection.sendall(block)
    assert resident_kib() - before < 64 * 1024


def test_a_large_object_takes_no_memory(listener: ListenerProcess) -> None:
    image = make_image(generate_uid())
    image.NumberOfFrames = 100 << 11
    image.PixelData = bytes(100 << 20)
    before = listener.resident_kib()
    assert send(listener, image) == SUCCESS
    assert listener.resident_kib() - before < 32 * 1024
    (stored,) = listener.images(image.StudyInstanceUID)
    assert stored.stat().st_size > 100 << 20


@SENDS_NONSENSE
def test_nothing_of_the_patient_is_logged(listener: ListenerProcess) -> None:
    image = make_image(generate_uid())
    image.add_new(0x00100030, "DA", "CANARY")
    send(listener, image)
    wait_until(lambda: study_key("SEGNODE", image.StudyInstanceUID) in listener.log.read_text())
    log = listener.log.read_text()
    assert "CANARY" not in log
    assert image.StudyInstanceUID not in log


def test_the_process_loads_nothing_of_the_networks() -> None:
    program = "import sys, app.node.listener; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "pynetdicom" in loaded
    assert loaded.isdisjoint(HEAVY)
