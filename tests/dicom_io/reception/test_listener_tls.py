"""Encrypted reception: certificate, AE title and address belong together, and nothing else gets in."""

import hashlib
import os
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from dicom_io.reception.access_control import AccessControl, AllowedPeer
from dicom_io.tls import TlsFiles, client_context
from tests.support.certificates import Certificate, make_authority, make_certificate
from tests.support.listener_process import ListenerProcess
from tests.support.node_process import wait_until, write_study
from tests.support.upper_layer import Connection, associate_rq, echo_from

Keys = dict[str, Certificate]
PATIENCE_S = 5.0
"""The node's, with who has not said yet who it is; who is answered sooner has not waited for one of these."""


@pytest.fixture(scope="module")
def keys(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Keys:
    openssl, folder = peer("openssl"), tmp_path_factory.mktemp("keys")
    authority = make_authority(openssl, folder)
    return {
        "authority": authority,
        "stranger": make_authority(openssl, folder, "stranger"),
        "node": make_certificate(openssl, folder, "node", authority),
        "ct1": make_certificate(openssl, folder, "ct1", authority),
        "ct2": make_certificate(openssl, folder, "ct2", authority),
    }


def fingerprint(certificate: Certificate) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.certificate.read_text())).hexdigest()


@pytest.fixture(scope="module", params=["1.2", "1.3"])
def listener(
    request: pytest.FixtureRequest, keys: Keys, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ListenerProcess]:
    files = {"certificate": keys["node"].certificate, "key": keys["node"].key, "ca": keys["authority"].certificate}
    process = ListenerProcess(
        tmp_path_factory.mktemp("listener"),
        tls={name: str(path) for name, path in files.items()} | {"minimum": request.param},
        peers=[
            {"ae_title": "CT1", "addresses": ["127.0.0.0/29"], "certificate": "ct1"},
            {"ae_title": "CT2", "certificate": fingerprint(keys["ct2"]).upper()},
            {"ae_title": "HONEST", "certificate": "ct1"},
        ],
        limits={"first_pdu_seconds": PATIENCE_S},
        audit_file="audit.xml",
    )
    yield process
    process.stop()


def storescu(program: str, port: int, folder: Path, calling: str, *options: str) -> int:
    command = [program, "-aet", calling, "-aec", "SEGNODE", "+sd", *options, "127.0.0.1", str(port), str(folder)]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    return subprocess.run(command, capture_output=True, check=False, env=environment).returncode  # noqa: S603 - a peer found by name


def shown(keys: Keys, name: str, authority: str = "authority") -> tuple[str, ...]:
    """DCMTK's options for a certificate, and for whom to believe."""
    own = keys[name]
    return "+tls", str(own.key), str(own.certificate), "+cf", str(keys[authority].certificate)


def client(keys: Keys, name: str) -> ssl.SSLContext:
    own = keys[name]
    return client_context(TlsFiles(keys["authority"].certificate, own.certificate, own.key, verify_host=False))


@pytest.mark.parametrize(("name", "calling"), [("ct1", "CT1"), ("ct2", "CT2")])
def test_storescu_delivers_with_its_certificate(
    listener: ListenerProcess, keys: Keys, peer: Callable[[str], str], tmp_path: Path, name: str, calling: str
) -> None:
    study = generate_uid()
    folder = write_study(tmp_path, study, images=3)
    assert storescu(peer("storescu"), listener.port, folder, calling, *shown(keys, name)) == 0
    assert len(listener.images(study)) == 3


@pytest.mark.parametrize(
    ("name", "calling"), [("ct2", "CT1"), ("ct1", "CT2"), ("ct1", "CT3"), ("stranger", "CT1")], ids=str
)
def test_a_title_with_another_certificate_delivers_nothing(
    listener: ListenerProcess, keys: Keys, peer: Callable[[str], str], tmp_path: Path, name: str, calling: str
) -> None:
    study = generate_uid()
    folder = write_study(tmp_path, study, images=1)
    assert storescu(peer("storescu"), listener.port, folder, calling, *shown(keys, name)) != 0
    assert listener.images(study) == []


def test_storescu_without_certificate_or_in_the_clear_delivers_nothing(
    listener: ListenerProcess, keys: Keys, peer: Callable[[str], str], tmp_path: Path
) -> None:
    folder = write_study(tmp_path, generate_uid(), images=1)
    anonymous = ("+tla", "+cf", str(keys["authority"].certificate))
    assert storescu(peer("storescu"), listener.port, folder, "CT1", *anonymous) != 0
    assert storescu(peer("storescu"), listener.port, folder, "CT1") != 0
    trail = listener.spool.root.parent / "audit.xml"
    wait_until(lambda: trail.exists() and "TLS handshake failed" in trail.read_text())


@pytest.mark.parametrize("calling", ["CT1"])
@pytest.mark.parametrize(("address", "kind"), [("127.0.0.2", 2), ("127.0.0.9", 3)])
def test_a_title_from_another_address_is_rejected(
    listener: ListenerProcess, keys: Keys, calling: str, address: str, kind: int
) -> None:
    with Connection(listener.port, address, tls=client(keys, "ct1")) as connection:
        connection.send(associate_rq(calling=calling))
        answer = connection.receive_pdu()
    assert answer[0] == kind
    if kind == 3:
        assert answer[6:] == bytes([0, 1, 1, 3])


def test_versions_older_than_asked_for_are_not_spoken(listener: ListenerProcess, keys: Keys) -> None:
    context = client(keys, "ct1")
    echo_from("127.0.0.1", listener.port, tls=context)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    if "minimum: '1.3'" in (listener.spool.root.parent / "node.yaml").read_text():
        with pytest.raises(OSError):
            echo_from("127.0.0.1", listener.port, tls=context)
    else:
        echo_from("127.0.0.1", listener.port, tls=context)


def test_weak_ciphers_are_not_spoken(listener: ListenerProcess, keys: Keys) -> None:
    context = client(keys, "ct1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA:ECDHE-RSA-AES128-SHA:@SECLEVEL=0")
    with pytest.raises(OSError):
        echo_from("127.0.0.1", listener.port, tls=context)


def test_silent_and_wrong_handshakes_hold_nobody_up(listener: ListenerProcess, keys: Keys) -> None:
    with ExitStack() as stack:
        for content in (b"", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00" + bytes(100), associate_rq()) * 8:
            silent = stack.enter_context(socket.create_connection(("127.0.0.1", listener.port), timeout=10))
            silent.sendall(content)
        assert echo_from("127.0.0.2", listener.port, tls=client(keys, "ct1")) < PATIENCE_S
        silent.settimeout(30)
        with suppress(ConnectionResetError):
            while silent.recv(100):
                pass


@pytest.mark.parametrize("content", [b"", b"\x16\x03\x01"])
def test_connections_that_are_reset_at_once_end_nothing(listener: ListenerProcess, keys: Keys, content: bytes) -> None:
    for _ in range(500):
        with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as hasty:
            hasty.sendall(content)
            hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets
    assert echo_from("127.0.0.2", listener.port, tls=client(keys, "ct1")) < PATIENCE_S


def test_without_settings_only_destinations_may_send(tmp_path: Path) -> None:
    process = ListenerProcess(tmp_path, peers=None)
    try:
        for calling, kind in (("PACS", 2), ("OTHER", 3)):
            with Connection(process.port) as connection:
                connection.send(associate_rq(calling=calling))
                assert connection.receive_pdu()[0] == kind
    finally:
        process.stop()


def test_negotiated_cipher_is_on_the_lists(tmp_path: Path) -> None:
    explicit, deflated = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
    ct, mr = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
    asked = [(1, ct, (explicit,)), (3, ct, (deflated,)), (5, mr, (explicit,))]
    lists = {"sop_classes": ["CTImageStorage"], "transfer_syntaxes": ["DeflatedExplicitVRLittleEndian", explicit]}
    results = []
    for number, reception in enumerate(({}, lists)):
        process = ListenerProcess(tmp_path / str(number), reception=reception)
        try:
            with Connection(process.port) as connection:
                connection.send(associate_rq(contexts=asked))
                results.append(results_of(connection.receive_pdu()))
        finally:
            process.stop()
    # 0 accepted, 3 abstract syntax not supported, 4 transfer syntaxes not supported (PS3.8 table 9-18).
    assert results == [{1: 0, 3: 4, 5: 0}, {1: 0, 3: 0, 5: 3}]


def results_of(answer: bytes) -> dict[int, int]:
    """Result of each presentation context of an A-ASSOCIATE-AC."""
    found, at = {}, 74
    while at < len(answer):
        length = int.from_bytes(answer[at + 2 : at + 4], "big")
        if answer[at] == 0x21:
            found[answer[at + 4]] = answer[at + 6]
        at += 4 + length
    return found


def test_a_peer_bound_to_a_certificate_is_nobody_without() -> None:
    access = AccessControl.of(["SEGNODE"], [AllowedPeer("CT1", certificate="ct1")])
    assert access.peers is not None
    assert not access.peers[0].fits("CT1", "127.0.0.1", None)
