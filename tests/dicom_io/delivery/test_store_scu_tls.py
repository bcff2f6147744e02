"""C-STORE over TLS to DCMTK's ``storescp``: who is trusted, and who is not."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import SegmentationStorage, generate_uid

from core.errors import ConfigInvalid, RetryLater
from dicom_io.delivery.answer import Answer, Said
from dicom_io.delivery.store_scu import Destination, send_object
from dicom_io.tls import TlsFiles
from tests.support.certificates import Certificate, make_authority, make_certificate
from tests.support.node_process import make_image
from tests.support.peers import StorageServer

# pynetdicom leaves the socket of a failed handshake to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")


@pytest.fixture(scope="module")
def keys(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificate]:
    openssl, folder = peer("openssl"), tmp_path_factory.mktemp("keys")
    authority = make_authority(openssl, folder)
    return {
        "authority": authority,
        "stranger": make_authority(openssl, folder, "stranger"),
        "pacs": make_certificate(openssl, folder, "pacs", authority),
        "elsewhere": make_certificate(openssl, folder, "elsewhere", authority, names="DNS:pacs.example"),
        "node": make_certificate(openssl, folder, "node", authority),
    }


@pytest.fixture
def result(tmp_path: Path) -> Path:
    path = tmp_path / "result.dcm"
    make_image(generate_uid(), sop_class=SegmentationStorage).save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(params=["pacs"])
def server(
    request: pytest.FixtureRequest, peer: Callable[[str], str], keys: dict[str, Certificate], tmp_path: Path
) -> Iterator[StorageServer]:
    """One that asks for a certificate of the authority."""
    own = keys[request.param]
    options = ("+tls", str(own.key), str(own.certificate), "+cf", str(keys["authority"].certificate), "-rc")
    server = StorageServer(peer("storescp"), tmp_path / "pacs", options=options).start()
    yield server
    server.stop()


def files(keys: dict[str, Certificate], *, ca: str = "authority", own: str | None = "node", **more: bool) -> TlsFiles:
    mine = keys[own] if own is not None else None
    return TlsFiles(keys[ca].certificate, mine.certificate if mine else None, mine.key if mine else None, **more)


def to(server: StorageServer, tls: TlsFiles | None) -> Destination:
    return Destination("127.0.0.1", server.port, "PACS", tls)


def test_both_sides_prove_who_they_are(server: StorageServer, keys: dict[str, Certificate], result: Path) -> None:
    assert send_object(result, to(server, files(keys)), "SEGNODE") == Answer(Said.STORED)
    (received,) = server.received()
    assert dcmread(received) == dcmread(result)


@pytest.mark.parametrize(("ca", "own"), [("stranger", "node"), ("authority", None), ("authority", "stranger")], ids=str)
def test_no_object_goes_to_or_comes_from_a_stranger(
    server: StorageServer, keys: dict[str, Certificate], result: Path, ca: str, own: str | None
) -> None:
    with pytest.raises(RetryLater):
        send_object(result, to(server, files(keys, ca=ca, own=own)), "SEGNODE")
    assert server.received() == []


def test_no_object_goes_out_in_the_clear(server: StorageServer, result: Path) -> None:
    with pytest.raises(RetryLater):
        send_object(result, to(server, None), "SEGNODE")
    assert server.received() == []


@pytest.mark.parametrize("server", ["elsewhere"], indirect=True)
def test_a_certificate_must_name_the_host_unless_told_otherwise(
    server: StorageServer, keys: dict[str, Certificate], result: Path
) -> None:
    with pytest.raises(RetryLater, match=r"certificate of 127\.0\.0\.1 names another host"):
        send_object(result, to(server, files(keys)), "SEGNODE")
    assert send_object(result, to(server, files(keys, verify_host=False)), "SEGNODE") == Answer(Said.STORED)


def test_a_file_that_is_no_certificate_is_named(keys: dict[str, Certificate], result: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for tls in (TlsFiles(ca=broken), TlsFiles(ca=tmp_path / "none.pem"), TlsFiles(None, broken, broken)):
        with pytest.raises(ConfigInvalid, match=r"(broken|none)\.pem"):
            send_object(result, Destination("127.0.0.1", 1, "PACS", tls), "SEGNODE")
