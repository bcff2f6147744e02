"""STOW-RS to Orthanc's DICOMweb plugin, and to servers that answer what they like."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import SegmentationStorage, generate_uid

from core.errors import RetryLater
from dicom_io.delivery.answer import Answer, Said
from dicom_io.delivery.stow import send_by_web
from dicom_io.delivery.web import WebDestination
from dicom_io.tls import TlsFiles
from tests.conftest import missing
from tests.support.certificates import make_authority, make_certificate
from tests.support.node_process import free_port, make_image
from tests.support.peers import ORTHANC_PLUGINS, Orthanc
from tests.support.web_server import WebServer


@pytest.fixture
def result(tmp_path: Path) -> Path:
    path = tmp_path / "result.dcm"
    image = make_image(generate_uid(), sop_class=SegmentationStorage)
    image.PixelData = bytes(3 << 20)  # more than one piece of the body
    image.save_as(path, enforce_file_format=True)
    return path


def test_orthanc_stores_it_once(orthanc: Orthanc, result: Path) -> None:
    if not (ORTHANC_PLUGINS / "libOrthancDicomWeb.so").exists():
        missing("Orthanc's DICOMweb plugin is not installed")
    target = WebDestination(f"http://127.0.0.1:{orthanc.http_port}/dicom-web")
    answers = [send_by_web(result, target) for _ in range(2)]
    (instance,) = orthanc.get("instances")
    assert answers == [Answer(Said.STORED), Answer(Said.STORED)]
    assert orthanc.get_bytes(f"instances/{instance}/file") == result.read_bytes()


def test_the_body_is_the_file(result: Path) -> None:
    with WebServer() as server:
        assert send_by_web(result, WebDestination(server.url)) == Answer(Said.STORED)
    ((path, headers, body),) = server.requests
    assert path == f"/dicom-web/studies/{dcmread(result).StudyInstanceUID}"
    boundary = headers["Content-Type"].split("boundary=")[1]
    head, rest = body.split(b"\r\n\r\n", 1)
    assert head == f"--{boundary}\r\nContent-Type: application/dicom".encode()
    assert rest == result.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    assert "Authorization" not in headers


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_statuses_that_stay(result: Path, status: int) -> None:
    with WebServer(status, b"{}") as server:
        answer = send_by_web(result, WebDestination(server.url))
    assert answer == Answer(Said.REFUSED, f"the destination refused the object with HTTP status {status}")


@pytest.mark.parametrize("status", [301, 401, 403, 404, 408, 429, 500, 503])
def test_statuses_that_pass(result: Path, status: int) -> None:
    with WebServer(status) as server:
        answer = send_by_web(result, WebDestination(server.url))
    assert (answer.said, f"HTTP status {status}" in answer.reason) == (Said.LATER, True)


def test_a_redirect_to_a_login_is_not_followed(result: Path) -> None:
    with WebServer() as login, WebServer(302, b"", headers={"Location": f"{login.url}/login"}) as server:
        answer = send_by_web(result, WebDestination(server.url))
    assert answer == Answer(
        Said.LATER, "the destination redirects to another address (HTTP status 302); check url and token"
    )
    assert (login.requests, login.questions) == ([], [])


def test_no_connection_passes(result: Path) -> None:
    with pytest.raises(RetryLater, match="refused the connection"):
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


def test_https_trusts_only_the_authority(result: Path, keys: dict[str, Any]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys["server"].certificate, keys["server"].key)
    with WebServer(context=context) as server:
        trusting = WebDestination(server.url, TlsFiles(ca=keys["authority"].certificate))
        assert send_by_web(result, trusting) == Answer(Said.STORED)
        with pytest.raises(RetryLater, match="authority that is not trusted"):
            send_by_web(result, WebDestination(server.url, TlsFiles(ca=keys["stranger"].certificate)))
    assert len(server.requests) == 1
