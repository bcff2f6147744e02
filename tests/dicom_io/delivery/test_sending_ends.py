"""A worker that may work no more stops sending in mid-object, by C-STORE and by STOW-RS."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.uid import SegmentationStorage, generate_uid

from core.errors import RetryLater
from dicom_io.delivery.store_scu import Destination, send_object
from dicom_io.delivery.stow import send_by_web
from dicom_io.delivery.web import WebDestination
from tests.support.node_process import make_image
from tests.support.peers import StorageServer

SIZE = 8 << 20


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """A file of many packets."""
    path = tmp_path / "result.dcm"
    image = make_image(generate_uid(), sop_class=SegmentationStorage)
    image.PixelData = bytes(SIZE)
    image.save_as(path, enforce_file_format=True)
    return path


class Lease:
    """One that ends after it was asked that number of times."""

    def __init__(self, answers: int) -> None:
        self._left = answers

    def holds(self) -> bool:
        self._left -= 1
        return self._left >= 0


@pytest.mark.parametrize("answers", [0, 1, 2, 3, 40], ids=lambda n: f"{n} answers")
def test_nothing_arrives_of_an_object_whose_sending_had_to_end(
    peer: Callable[[str], str], result: Path, tmp_path: Path, answers: int
) -> None:
    """Before the association, after it, before the object and in its middle."""
    server = StorageServer(peer("storescp"), tmp_path / "pacs").start()
    try:
        pacs = Destination("127.0.0.1", server.port, "PACS")
        with pytest.raises(RetryLater):
            send_object(result, pacs, "SEGNODE", Lease(answers).holds)
        assert server.received() == []
        assert send_object(result, pacs, "SEGNODE", Lease(10_000).holds).accepted
        assert len(server.received()) == 1
    finally:
        server.stop()


def test_a_body_ends_in_its_middle(result: Path) -> None:
    got: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def take_in() -> None:
            connection, _ = listening.accept()
            with connection:
                got.append(sum(iter(lambda: len(connection.recv(65536)), 0)))

        thread = threading.Thread(target=take_in)
        thread.start()
        server = WebDestination(f"http://127.0.0.1:{listening.getsockname()[1]}")
        with pytest.raises(RetryLater, match="lease expired"):
            send_by_web(result, server, Lease(4).holds)
        thread.join(60)
    assert 2 << 20 < got[0] < SIZE // 2
