"""Sending to real peers: what arrives, what is refused for good, and what is worth another try."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, SegmentationStorage, generate_uid
from pynetdicom import AE, evt

from core.errors import RetryLater
from dicom_io.delivery.answer import Answer, Said
from dicom_io.delivery.store_scu import Destination, send_object
from tests.support.node_process import free_port, make_image
from tests.support.peers import StorageServer


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """A file of the SEG class."""
    path = tmp_path / "result.dcm"
    make_image(generate_uid(), sop_class=SegmentationStorage).save_as(path, enforce_file_format=True)
    return path


@contextmanager
def peer_that_answers(status: int, *, syntax: str = ExplicitVRLittleEndian, **ae_settings: object) -> Iterator[int]:
    """Port of a storage SCP that gives one answer."""
    ae = AE(ae_title="PACS")
    ae.add_supported_context(SegmentationStorage, syntax)
    for name, value in ae_settings.items():
        setattr(ae, name, value)
    port = free_port()
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda event: status)])
    try:
        yield port
    finally:
        assert server is not None
        server.shutdown()


def pacs_at(port: int) -> Destination:
    return Destination("127.0.0.1", port, "PACS")


@pytest.mark.parametrize("options", [(), ("+xi",), ("+xa",)], ids=["default", "implicit only", "all"])
def test_storescp_receives_the_object(
    peer: Callable[[str], str], result: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    server = StorageServer(peer("storescp"), tmp_path / "pacs", options=options)
    server.start()
    try:
        assert send_object(result, pacs_at(server.port), "SEGNODE") == Answer(Said.STORED)
        (received,) = server.received()
    finally:
        server.stop()
    assert dict(dcmread(received).items()).keys() == dict(dcmread(result).items()).keys()
    assert dcmread(received) == dcmread(result)


def test_the_same_object_twice_has_one_name(peer: Callable[[str], str], result: Path, tmp_path: Path) -> None:
    server = StorageServer(peer("storescp"), tmp_path / "pacs").start()
    try:
        for _ in range(2):
            send_object(result, pacs_at(server.port), "SEGNODE")
        assert {dcmread(path).SOPInstanceUID for path in server.received()} == {dcmread(result).SOPInstanceUID}
    finally:
        server.stop()


@pytest.mark.parametrize("status", [0xA700, 0xA7FF, 0x0213])
def test_statuses_that_pass(result: Path, status: int) -> None:
    with peer_that_answers(status) as port:
        answer = send_object(result, pacs_at(port), "SEGNODE")
    assert answer == Answer(Said.LATER, f"the destination answered with status 0x{status:04X}")


@pytest.mark.parametrize(("status", "said"), [(0x0110, Said.DOUBTFUL), (0x0111, Said.HAS_IT)])
def test_statuses_after_which_it_is_asked(result: Path, status: int, said: Said) -> None:
    with peer_that_answers(status) as port:
        answer = send_object(result, pacs_at(port), "SEGNODE")
    assert answer == Answer(said, f"the destination answered with status 0x{status:04X}")


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0xC123, 0x0122, 0x0124])
def test_statuses_that_stay(result: Path, status: int) -> None:
    with peer_that_answers(status) as port:
        answer = send_object(result, pacs_at(port), "SEGNODE")
    assert not answer.accepted
    assert f"0x{status:04X}" in answer.reason


@pytest.mark.parametrize(
    ("status", "words"), [(0xB000, "coerced"), (0xB006, "discarded"), (0xB007, "does not match"), (0xB123, "warning")]
)
def test_warnings_count_as_stored(result: Path, status: int, words: str) -> None:
    with peer_that_answers(status) as port:
        answer = send_object(result, pacs_at(port), "SEGNODE")
    assert answer.accepted
    assert f"0x{status:04X}" in answer.reason
    assert words in answer.reason


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning")
def test_no_connection_passes(result: Path) -> None:
    with pytest.raises(RetryLater, match="refused the connection"):
        send_object(result, pacs_at(free_port()), "SEGNODE")


def test_a_rejected_association_passes(result: Path) -> None:
    with peer_that_answers(0, require_called_aet=True) as port, pytest.raises(RetryLater, match="rejected"):
        send_object(result, Destination("127.0.0.1", port, "OTHER"), "SEGNODE")


def test_a_class_that_the_peer_does_not_take_stays(result: Path, tmp_path: Path) -> None:
    other: Dataset = make_image(generate_uid())
    path = tmp_path / "other.dcm"
    other.save_as(path, enforce_file_format=True)
    with peer_that_answers(0) as port:
        answer = send_object(path, pacs_at(port), "SEGNODE")
    assert answer == Answer(Said.REFUSED, "the destination does not accept this SOP class and transfer syntax")


def test_implicit_is_enough(result: Path) -> None:
    with peer_that_answers(0, syntax=ImplicitVRLittleEndian) as port:
        assert send_object(result, pacs_at(port), "SEGNODE") == Answer(Said.STORED)
