"""Faults of a PACS that is sent a result: no other destination waits, and every deliverable result is delivered."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any, Protocol

import pytest
from pydicom.uid import CTImageStorage, generate_uid

from tests.faults.table import FAULT
from tests.support.node_process import NodeProcess, free_port, wait_until, write_study
from tests.support.peers import store
from tests.support.receiver import Receiver

GOOD = "GOOD"


class Peer(Protocol):
    """A destination of a test."""

    asked: int
    """Number of requests that it received."""

    def start(self) -> object: ...
    def stop(self) -> None: ...


class Nobody:
    """A port that nobody listens on."""

    def __init__(self, port: int) -> None:
        self.asked = 1

    def start(self) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


class RawPeer:
    """Accepts connections, says some bytes, and either waits or closes."""

    def __init__(self, port: int, says: bytes = b"", *, closes: bool = False) -> None:
        self.asked = 0
        self._ended = threading.Event()
        outer = self

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                outer.asked += 1
                with suppress(OSError):
                    self.request.sendall(says)
                if not closes:
                    outer._ended.wait()

        class Server(ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", port), Handler)

    def start(self) -> None:
        """Listen."""
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()

    def stop(self) -> None:
        """Close every connection."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()


class StallingPeer(Receiver):
    """Takes an object whole, and never answers."""

    def __init__(self, port: int) -> None:
        self._ended = threading.Event()
        super().__init__(port, answer=self._wait)

    def _wait(self) -> int:
        self._ended.wait()
        return 0x0110

    def stop(self) -> None:
        """End it."""
        self._ended.set()
        super().stop()


@dataclass(frozen=True)
class PacsFault:
    """One row: what the PACS does, what the node makes of it, and what comes of it once a good PACS is in its place."""

    name: str
    expected: str
    make: Callable[[int], Peer]


def answering(status: int) -> Callable[[int], Peer]:
    """A PACS that answers every object so."""
    return lambda port: Receiver(port, answer=lambda: status)


LATER = "delivering, then delivered as 1 object"
NEVER = "failed (not_delivered), then failed as 0 objects"
UNCONFIRMED = "failed (unconfirmed), then failed as 0 objects"
ROWS = (
    PacsFault("PACS down", LATER, Nobody),
    PacsFault("PACS accepts a connection and never answers", LATER, RawPeer),
    PacsFault("PACS closes every connection", LATER, lambda port: RawPeer(port, closes=True)),
    PacsFault("PACS speaks HTTP", LATER, lambda port: RawPeer(port, b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    PacsFault("PACS takes an object and never answers", LATER, StallingPeer),
    PacsFault("PACS rejects the association", LATER, lambda port: Receiver(port, ae_title="ANOTHER")),
    PacsFault("PACS rejects the SEG class", NEVER, lambda port: Receiver(port, classes=[CTImageStorage])),
    PacsFault("PACS answers 0xA700, out of resources", LATER, answering(0xA700)),
    PacsFault("PACS answers 0xA900, no match", NEVER, answering(0xA900)),
    PacsFault("PACS answers 0xC000, cannot understand", NEVER, answering(0xC000)),
    PacsFault("PACS answers 0x0122, class not supported", NEVER, answering(0x0122)),
    PacsFault("PACS answers 0x0110, processing failure", LATER, answering(0x0110)),
    PacsFault("PACS answers 0x0111, has it already, and cannot be asked", UNCONFIRMED, answering(0x0111)),
    PacsFault("PACS answers 0xB000, stored with a warning", "delivered, then delivered as 1 object", answering(0xB000)),
)


@dataclass
class Hospital:
    """One node and a PACS for each row, all of which got a study, and after them the good one."""

    node: NodeProcess
    ports: dict[str, int]
    peers: dict[str, Peer]
    good: Receiver
    studies: dict[str, str]


@pytest.fixture(scope="module")
def hospital(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    storescu, folder = peer("storescu"), tmp_path_factory.mktemp("hospital")
    ports = {row.name: free_port() for row in ROWS} | {GOOD: free_port()}
    names = {name: f"pacs-{number}" for number, name in enumerate(ports)}
    node = NodeProcess(folder / "node", {"pacs": (ports[GOOD], "PACS")})
    retry = {"first_seconds": 0.5, "longest_seconds": 1.0}
    node.set(
        destinations={
            names[name]: {"kind": "dicom", "ae_title": "PACS", "host": "127.0.0.1", "port": port, "retry": retry}
            for name, port in ports.items()
        },
        routes=[
            {"called_ae": names[name].upper(), "models": ["stub"], "destinations": [names[name]]} for name in ports
        ],
    )

    def send(name: str) -> str:
        study = str(generate_uid())
        images = write_study(folder / study, study)
        assert store(storescu, node.port, names[name].upper(), images) == 0
        return study

    good = Receiver(ports[GOOD])
    good.start()
    peers = {row.name: row.make(ports[row.name]) for row in ROWS}
    for wrong in peers.values():
        wrong.start()
    node.start()
    try:
        yield Hospital(node, ports, peers, good, {name: send(name) for name in ports})
    finally:
        node.stop()
        good.stop()
        for wrong in peers.values():
            wrong.stop()


def state_of(hospital: Hospital, study: str) -> str:
    """State of a study, and the reason where it failed."""
    latest = hospital.node.latest(study)
    found: dict[str, Any] = latest.read_state() if latest is not None else {"state": "missing"}
    return f"failed ({found['reason']['code']})" if found["state"] == "failed" else str(found["state"])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: re.sub(r"\W+", "-", row.name))
def test_pacs(
    row: PacsFault,
    hospital: Hospital,
    record_property: Callable[[str, object], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    record_property(FAULT, row.name)
    caplog.set_level("CRITICAL", "pynetdicom")
    study, wrong = hospital.studies[row.name], hospital.peers[row.name]
    other = hospital.studies[GOOD]
    assert hospital.node.wait_for_end(other)["state"] == "delivered"
    assert [taken.study for taken in hospital.good.taken] == [other]
    wait_until(lambda: wrong.asked or "reject" in row.name)
    begun = "delivering" if row.expected == LATER else row.expected.split(",")[0]
    wait_until(lambda: state_of(hospital, study) == begun)
    during = state_of(hospital, study)
    wrong.stop()
    well = Receiver(hospital.ports[row.name]).start()
    try:
        end = hospital.node.wait_for_end(study)["state"]
        taken = {
            one.instance
            for one in [*well.taken, *(wrong.taken if isinstance(wrong, Receiver) else [])]
            if one.study == study
        }
        objects = f"{len(taken)} object{'' if len(taken) == 1 else 's'}"
        assert f"{during}, then {end} as {objects}" == row.expected
    finally:
        well.stop()
