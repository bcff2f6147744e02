"""The sentences for a destination that is not reached, over real sockets: C-STORE over TLS and HTTPS alike."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from pydicom.uid import SegmentationStorage, generate_uid

from core.errors import RetryLater
from dicom_io.delivery.store_scu import Destination, send_object
from dicom_io.delivery.stow import send_by_web
from dicom_io.delivery.web import WebDestination
from dicom_io.tls import TlsFiles
from tests.faults.table import FAULT
from tests.support.certificates import Certificate, make_authority, make_certificate
from tests.support.node_process import free_port, make_image

# pynetdicom leaves the socket of a refused connection, or of a failed handshake, to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")

both = pytest.mark.parametrize("kind", ["dimse", "web"])


@pytest.fixture
def result(tmp_path: Path) -> Path:
    path = tmp_path / "result.dcm"
    make_image(generate_uid(), sop_class=SegmentationStorage).save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(autouse=True)
def counted(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    """Count each test of this file as a row of the fault table."""
    record_property(FAULT, f"destination not reached: {request.node.name.removeprefix('test_')}")


@pytest.fixture(scope="module")
def keys(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificate]:
    openssl, folder = peer("openssl"), tmp_path_factory.mktemp("keys")
    authority = make_authority(openssl, folder)
    return {
        "authority": authority,
        "stranger": make_authority(openssl, folder, "stranger"),
        "good": make_certificate(openssl, folder, "good", authority),
        "expired": make_certificate(openssl, folder, "expired", authority, days=-1),
        "elsewhere": make_certificate(openssl, folder, "elsewhere", authority, names="DNS:pacs.example"),
    }


def problem(kind: str, result: Path, port: int, tls: TlsFiles | None = None, host: str = "127.0.0.1") -> str:
    """The sentence with which sending fails."""
    with pytest.raises(RetryLater) as raised:
        _send(kind, result, port, tls, host)
    return str(raised.value)


def _send(kind: str, result: Path, port: int, tls: TlsFiles | None, host: str) -> None:
    if kind == "dimse":
        send_object(result, Destination(host, port, "PACS", tls), "SEGNODE")
    else:
        scheme, files = ("http", TlsFiles()) if tls is None else ("https", tls)
        send_by_web(result, WebDestination(f"{scheme}://{host}:{port}/dicom-web", files))


@contextmanager
def listening(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """Port of a server that does so with each connection, one after the other."""
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    handle(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(60)


def read_until_closed(connection: socket.socket) -> None:
    connection.settimeout(60)
    while connection.recv(65536):
        pass


def tls_server(own: Certificate, client_ca: Certificate | None = None) -> Callable[[socket.socket], None]:
    """Shakes hands with a certificate, and asks for the client's where it names an authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    if client_ca is not None:
        context.load_verify_locations(client_ca.certificate)
        context.verify_mode = ssl.CERT_REQUIRED

    def handle(connection: socket.socket) -> None:
        connection.settimeout(60)
        with context.wrap_socket(connection, server_side=True) as encrypted:
            read_until_closed(encrypted)

    return handle


@both
@pytest.mark.parametrize(
    ("own", "ca", "sentence"),
    [
        ("expired", "authority", "the certificate of 127.0.0.1 has expired; have it renewed there"),
        ("elsewhere", "authority", "the certificate of 127.0.0.1 names another host"),
        ("good", "stranger", "the certificate of 127.0.0.1 is signed by an authority that is not trusted here"),
    ],
)
def test_a_certificate_that_does_not_hold(
    kind: str, own: str, ca: str, sentence: str, keys: dict[str, Certificate], result: Path
) -> None:
    with listening(tls_server(keys[own])) as port:
        assert problem(kind, result, port, TlsFiles(keys[ca].certificate)).startswith(sentence)


@both
def test_a_peer_that_wants_this_nodes_certificate(kind: str, keys: dict[str, Certificate], result: Path) -> None:
    with listening(tls_server(keys["good"], keys["authority"])) as port:
        said = problem(kind, result, port, TlsFiles(keys["authority"].certificate))
    assert said.startswith("127.0.0.1 did not accept this node's certificate")


@both
def test_a_peer_that_speaks_no_tls(kind: str, keys: dict[str, Certificate], result: Path) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with listening(answer) as port:
        said = problem(kind, result, port, TlsFiles(keys["authority"].certificate))
    assert said.startswith(f"127.0.0.1 port {port} does not speak TLS")


@both
def test_a_refused_connection(kind: str, result: Path) -> None:
    port = free_port()
    said = problem(kind, result, port)
    assert said == f"127.0.0.1 port {port} refused the connection; check that the program there runs, and the port"


@both
def test_an_unknown_host(kind: str, result: Path) -> None:
    said = problem(kind, result, 104, host="pacs.invalid")
    assert said == "no host is known by the name pacs.invalid; correct it in node.yaml, or the name service"


@both
def test_silence(kind: str, result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom_io.delivery.store_scu.ASSOCIATION_TIMEOUT_S", 0.5)
    monkeypatch.setattr("dicom_io.delivery.stow.ANSWER_TIMEOUT_S", 0.5)
    with listening(read_until_closed) as port:
        said = problem(kind, result, port)
    assert said.startswith(f"127.0.0.1 port {port} took the ")
    assert "did not answer" in said


@both
def test_a_connection_that_is_closed(kind: str, result: Path) -> None:
    with listening(lambda connection: None) as port:
        assert "the connection" in problem(kind, result, port)


@both
def test_no_way_there(kind: str, result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom_io.delivery.store_scu.CONNECT_TIMEOUT_S", 0.5)
    monkeypatch.setattr("dicom_io.delivery.web.CONNECT_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first, socket.socket() as second:
        # Nobody accepts: what comes after these gets no answer at all, as behind a firewall.
        for connection in (first, second):
            connection.setblocking(False)
            connection.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        assert problem(kind, result, port).startswith(f"127.0.0.1 port {port} did not answer in time")
