"""The status pages under clients that misbehave, and where the spool cannot be read."""

import http.client
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.node.presence import Presence
from app.node.status import look
from app.node.status_server import StatusCollector, serve_status
from core.errors import ConfigInvalid
from dicom_io.spool.counters import Counters, forget_counters, read_counters
from dicom_io.spool.free_space import KeptFree
from dicom_io.spool.spool import Spool
from tests.faults.table import FAULT
from tests.support.node_process import PATIENCE_S, wait_until


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    return spool


@pytest.fixture
def port(spool: Spool) -> Iterator[int]:
    server = serve_status(spool, "127.0.0.1", 0)
    yield server.server_port
    server.shutdown()
    server.server_close()


def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_silent_and_impolite_clients_hold_up_nobody(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
    for client in silent[:10]:
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        client.close()
    silent[10].sendall(b"\x16\x03\x01\xff" * 100)
    assert get(port, "/healthz") == (200, "ok\n")
    for client in silent[11:]:
        client.setblocking(False)
        with pytest.raises(BlockingIOError):  # none had to be given up for that
            client.recv(1)
    for client in silent:
        client.close()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(port: int, method: str) -> None:
    assert get(port, "/metrics", method)[0] == 501


def test_a_node_without_processes_is_not_ready(port: int) -> None:
    status, text = get(port, "/readyz")
    assert (status, '"ready": false' in text) == (503, True)


def test_missing_spool_is_reported(port: int, spool: Spool) -> None:
    shutil.rmtree(spool.root)
    assert get(port, "/readyz")[0] == 503
    assert get(port, "/metrics")[0] == 503
    assert get(port, "/healthz")[0] == 200


def test_a_port_that_is_taken_is_named(port: int, spool: Spool) -> None:
    with pytest.raises(ConfigInvalid, match=f"http: host 127.0.0.1 port {port}"):
        serve_status(spool, "127.0.0.1", port)


def test_the_spool_is_not_read_for_every_question(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(Spool, "study_keys", lambda self: looks.append(1) or [])
    monkeypatch.setattr("app.node.status_server.LOOK_EVERY_S", PATIENCE_S)
    collector = StatusCollector(spool)
    for _ in range(100):
        collector.look()
    assert len(looks) == 1


def test_a_look_that_takes_long_is_not_repeated_soon(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(Spool, "study_keys", lambda self: looks.append(1) or [])
    times = iter([0.0, 60.0, 659.0, 660.0, 661.0])  # a minute of looking, so ten of rest
    monkeypatch.setattr("app.node.status_server.time", SimpleNamespace(monotonic=lambda: next(times)))
    collector = StatusCollector(spool)
    for looked in (1, 1, 2):
        collector.look()
        assert len(looks) == looked


def test_a_probe_waits_for_no_look_at_the_studies(port: int, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(spool: Spool) -> None:
        raise AssertionError("a year of studies")

    monkeypatch.setattr("app.node.status_server.look", look)
    presence = Presence(spool.root, "ct", ("listener", "worker"))
    presence.hold()
    try:
        for ready, status in ((True, 200), (False, 503)):
            presence.show({"listener": True, "worker": ready})
            assert get(port, "/readyz")[0] == status
    finally:
        presence.release()


def test_counts_of_processes_add_up_and_a_damaged_file_counts_nothing(tmp_path: Path) -> None:
    first, second = Counters(tmp_path, "listener"), Counters(tmp_path, "worker")
    for counters in (first, second):
        counters.add("instances")
        counters.add("seconds", 2.5, label="network")
        counters.raise_to("peak", 3.0)
        counters.raise_to("peak", 1.0)
    (tmp_path / "broken-1.json").write_text("{")

    def total() -> tuple[float | None, float | None, float]:
        found = read_counters(tmp_path)
        peaks = sum(value for key, value in found.items() if key.startswith("peak"))
        return found.get("instances"), found.get("seconds network"), peaks

    # Each is written by a thread of its own, soon.
    wait_until(lambda: total() == (2.0, 5.0, 6.0))


def test_a_node_that_starts_forgets_its_own_counts_alone(tmp_path: Path) -> None:
    # Files without a living writer: the counts of the processes before this start.
    host = re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())
    (tmp_path / f"{host}-listener-1.json").write_text('{"instances": 1}')
    (tmp_path / f"{host}-worker-2.json").write_text('{"instances": 1}')
    (tmp_path / "another.machine-worker-1.json").write_text('{"instances": 5}')
    assert read_counters(tmp_path) == {"instances": 7}
    forget_counters(tmp_path, ["worker"])  # a worker that starts beside a listener of this machine
    assert read_counters(tmp_path) == {"instances": 6}
    forget_counters(tmp_path, ["listener", "worker"])
    assert read_counters(tmp_path) == {"instances": 5}


def test_one_address_takes_no_place_of_another(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, "one client opens all connections of the node's pages")
    monkeypatch.setattr("app.node.status_server.CONNECTIONS_PER_ADDRESS", 4)
    monkeypatch.setattr("app.node.status_server.CONNECTIONS", 6)
    server = serve_status(spool, "127.0.0.1", 0)
    address = ("127.0.0.1", server.server_port)
    greedy = [socket.create_connection(address, PATIENCE_S) for _ in range(40)]
    other = [socket.create_connection(address, PATIENCE_S, ("127.0.0.2", 0)) for _ in range(2)]
    try:
        assert get(server.server_port, "/healthz") == (200, "ok\n")  # of the greedy one's own address
        for client in greedy[:30]:
            assert client.recv(1) == b""  # given up for those that came later
        for client in other:
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.0 200"
    finally:
        for client in (*greedy, *other):
            client.close()
        server.shutdown()
        server.server_close()


def test_node_that_refuses_every_image_for_want_of_disk_is_not_ready(
    spool: Spool, record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, "a probe asks a node that has less disk than is to stay free")
    presence = Presence(spool.root, "ct", ("listener", "worker"))
    presence.hold()
    presence.show({"listener": True, "worker": True})
    try:
        for kept_free, status in ((KeptFree(), 200), (KeptFree(1 << 60), 503), (KeptFree(percent=100.0), 503)):
            server = serve_status(spool, "127.0.0.1", 0, kept_free)
            try:
                assert get(server.server_port, "/readyz")[0] == status
                assert ("below the reserve" in get(server.server_port, "/readyz")[1]) == (status == 503)
            finally:
                server.shutdown()
                server.server_close()
            assert look(spool, kept_free).is_ready == (status == 200)
    finally:
        presence.release()


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({"f_flag": os.ST_RDONLY}, "the disk is read-only"),
        ({"f_bavail": 0}, "the disk is full"),
        ({"f_files": 100, "f_favail": 0}, "the disk is full"),
        ({"f_files": 0, "f_favail": 0}, ""),
        ({}, ""),
    ],
)
def test_disk_without_room_is_told_from_one_with(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, found: dict[str, int], problem: str
) -> None:
    disk = {"f_flag": 0, "f_bavail": 10, "f_files": 100, "f_favail": 10, "f_blocks": 20, "f_frsize": 4096}
    monkeypatch.setattr("dicom_io.spool.free_space.os.statvfs", lambda _: SimpleNamespace(**disk | found))
    assert KeptFree().refusal(spool.root) == problem
