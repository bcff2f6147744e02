"""STOW-RS to Orthanc's DICOMweb plugin, and to servers that answer what they like."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import SegmentationStorage, generate_uid

from core.errors import RetryLater
from dicom_io.delivery.store_scu import Answer
from dicom_io.delivery.stow import WebDestination, send_by_web
from dicom_io.tls import TlsFiles
from tests.conftest import missing
from tests.support.certificates import make_authority, make_certificate
from tests.support.node_process import free_port, make_image
from tests.support.peers import ORTHANC_PLUGINS, Orthanc


@pytest.fixture
def result(tmp_path: Path) -> Path:
    path = tmp_path / "result.dcm"
    image = make_image(generate_uid(), sop_class=SegmentationStorage)
    image.PixelData = bytes(3 << 20)  # more than one piece of the body
    image.save_as(path, enforce_file_format=True)
    return path


class WebServer:
    """A server that keeps what it got and gives one answer."""

    def __init__(
        self, status: int = 200, body: bytes = b"{}", context: ssl.SSLContext | None = None, encoding: str = ""
    ) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append((self.path, dict(self.headers), content))
                self.send_response(status)
                self.send_header("Content-Type", "application/dicom+json; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                if encoding:
                    self.send_header("Content-Encoding", encoding)
                self.end_headers()
                with suppress(OSError):  # who asked may have heard enough
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.server.server_port}/dicom-web"
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> "WebServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_orthanc_stores_it_once(orthanc: Orthanc, result: Path) -> None:
    if not (ORTHANC_PLUGINS / "libOrthancDicomWeb.so").exists():
        missing("Orthanc's DICOMweb plugin is not installed")
    target = WebDestination(f"http://127.0.0.1:{orthanc.http_port}/dicom-web")
    answers = [send_by_web(result, target) for _ in range(2)]
    (instance,) = orthanc.get("instances")
    assert answers == [Answer(True), Answer(True)]
    assert orthanc.get_bytes(f"instances/{instance}/file") == result.read_bytes()


def test_the_body_is_the_file(result: Path) -> None:
    with WebServer() as server:
        assert send_by_web(result, WebDestination(server.url)) == Answer(True)
    ((path, headers, body),) = server.requests
    assert path == f"/dicom-web/studies/{dcmread(result).StudyInstanceUID}"
    boundary = headers["Content-Type"].split("boundary=")[1]
    head, rest = body.split(b"\r\n\r\n", 1)
    assert head == f"--{boundary}\r\nContent-Type: application/dicom".encode()
    assert rest == result.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    assert "Authorization" not in headers


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_statuses_that_stay(result: Path, status: int) -> None:
    with WebServer(status) as server:
        answer = send_by_web(result, WebDestination(server.url))
    assert not answer.accepted
    assert str(status) in answer.reason


@pytest.mark.parametrize("status", [301, 401, 403, 404, 408, 429, 500, 503])
def test_statuses_that_pass(result: Path, status: int) -> None:
    with WebServer(status) as server, pytest.raises(RetryLater, match=str(status)):
        send_by_web(result, WebDestination(server.url))


def failure(reason: int) -> bytes:
    item: dict[str, Any] = {"00081197": {"vr": "US", "Value": [reason]}}
    return json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode()


@pytest.mark.parametrize("status", [200, 202, 409])
def test_a_failure_in_the_answer_counts_whatever_the_status(result: Path, status: int) -> None:
    with WebServer(status, failure(0xC122)) as server:
        answer = send_by_web(result, WebDestination(server.url))
    assert answer == Answer(False, "the destination refused the object with failure reason 0xC122")
    with WebServer(status, failure(0xA700)) as server, pytest.raises(RetryLater, match="0xA700"):
        send_by_web(result, WebDestination(server.url))


NO_FAILURES = [
    *(b"", b"[]", b"<xml/>", b"[1]", b"\xff\xfe", b"[" * 100_000, b" " * (3 << 20) + b"{}"),
    *(b'{"00081198": {}}', b'{"00081198": 1}', b'{"00081198": [1]}', b'{"00081198": null}'),
    *(b'{"00081198": {"Value": 7}}', b'{"00081198": {"Value": {"0": 1}}}'),
]


@pytest.mark.parametrize("body", NO_FAILURES, ids=range(len(NO_FAILURES)))
def test_an_answer_without_a_failure_is_no_failure(result: Path, body: bytes) -> None:
    with WebServer(200, body) as server:
        assert send_by_web(result, WebDestination(server.url)) == Answer(True)


WITHOUT_REASON = ["null", "7", "[]", "{}", '{"00081197": 7}', '{"00081197": {}}', '{"00081197": {"Value": {}}}']
WITHOUT_REASON += [f'{{"00081197": {{"Value": [{value}]}}}}' for value in ("", "null", '"x"', "1e999", "{}")]


@pytest.mark.parametrize("item", WITHOUT_REASON)
def test_a_failure_without_a_reason_is_one(result: Path, item: str) -> None:
    with WebServer(200, f'{{"00081198": {{"Value": [{item}]}}}}'.encode()) as server:
        answer = send_by_web(result, WebDestination(server.url))
    assert answer == Answer(False, "the destination refused the object with failure reason 0x0000")


def test_an_answer_that_cannot_be_unpacked_passes(result: Path) -> None:
    with WebServer(200, b"no gzip", encoding="gzip") as server, pytest.raises(RetryLater, match="DecodingError"):
        send_by_web(result, WebDestination(server.url))


def test_no_connection_passes(result: Path) -> None:
    with pytest.raises(RetryLater, match="no answer"):
        send_by_web(result, WebDestination(f"http://127.0.0.1:{free_port()}"))


def test_tokens_are_read_for_each_object(result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    with WebServer() as server:
        by_file = WebDestination(server.url, token_file=token)
        with pytest.raises(RetryLater, match="token"):
            send_by_web(result, by_file)
        for text in ("first\n", "second"):
            token.write_text(text)
            send_by_web(result, by_file)
        by_name = WebDestination(server.url, token_env="SEGNODE_TEST_TOKEN")  # noqa: S106 - the variable's name
        with pytest.raises(RetryLater, match="token"):
            send_by_web(result, by_name)
        monkeypatch.setenv("SEGNODE_TEST_TOKEN", "third")
        send_by_web(result, by_name)
        monkeypatch.setenv("SEGNODE_TEST_TOKEN", "two\nlines")
        with pytest.raises(RetryLater, match="token"):
            send_by_web(result, by_name)
    assert [headers["Authorization"] for _, headers, _ in server.requests] == [
        f"Bearer {word}" for word in ("first", "second", "third")
    ]


@pytest.fixture(scope="module")
def keys(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    openssl, folder = peer("openssl"), tmp_path_factory.mktemp("keys")
    authority = make_authority(openssl, folder)
    return {
        "authority": authority,
        "stranger": make_authority(openssl, folder, "stranger"),
        "server": make_certificate(openssl, folder, "server", authority),
    }


# The failed handshake is the server's too, which prints it; its socket goes to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_https_trusts_only_the_authority(result: Path, keys: dict[str, Any]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys["server"].certificate, keys["server"].key)
    with WebServer(context=context) as server:
        trusting = WebDestination(server.url, TlsFiles(ca=keys["authority"].certificate))
        assert send_by_web(result, trusting) == Answer(True)
        with pytest.raises(RetryLater, match="no answer"):
            send_by_web(result, WebDestination(server.url, TlsFiles(ca=keys["stranger"].certificate)))
    assert len(server.requests) == 1
