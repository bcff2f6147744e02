"""Connections that have not yet sent a whole association request: one thread for all, a few KiB for each.

TLS handshakes and the first PDU, all that comes before a peer has identified itself, are handled here without ever
blocking. So a peer that is silent, slow or sends garbage costs a place in a list, and no thread.
"""

import ipaddress
import os
import selectors
import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from core.event_log import EventLog
from dicom_io.reception.association_request import ASSOCIATE_RQ, HEADER_LENGTH
from dicom_io.reception.limits import Limits

ABORT = struct.pack(">BBLBBBB", 7, 0, 4, 0, 0, 2, 1)
"""A-ABORT by the service provider, unrecognized PDU (PS3.8 9.3.8)."""

ACCEPTED_AT_ONCE = 64
SWEEP_S = 0.25
REPORT_S = 10.0
_CHUNK = 65536
_log = EventLog()


@dataclass(eq=False)
class _Waiting:
    connection: socket.socket
    address: str
    deadline: float
    shaking_hands: bool
    received: bytearray = field(default_factory=bytearray)
    needed: int = HEADER_LENGTH
    events: int = selectors.EVENT_READ


class Acceptor:
    """The place of new connections: accepts each, and hands it on with its first PDU.

    Parameters
    ----------
    listening
        The listening socket; it becomes non-blocking.
    limits
        Limits for every peer. Beyond ``waiting`` or ``waiting_per_address`` the newest connection takes the place of
        the oldest, of the same address where it is the address that has too many.
    tls
        TLS context, if every connection must begin with a handshake.
    on_request
        Called in its thread with connection, address and PDU; the connection is then the caller's.
    on_tls_failed
        Called in its thread with the address of a peer that fails the handshake, once in `REPORT_S` for each.
    """

    def __init__(
        self,
        listening: socket.socket,
        limits: Limits,
        tls: ssl.SSLContext | None,
        on_request: Callable[[socket.socket, str, bytes], None],
        on_tls_failed: Callable[[str], None],
    ) -> None:
        self._listening = listening
        self._limits = limits
        self._tls = tls
        self._on_request = on_request
        self._on_tls_failed = on_tls_failed
        self._failed_tls: set[str] = set()
        self._selector = selectors.DefaultSelector()
        self._waiting: dict[int, _Waiting] = {}
        self._wake_read, self._wake_write = socket.socketpair()
        self._stopping = False
        self._dropped: dict[str, int] = {}
        self._reported = time.monotonic()

    def run(self) -> None:
        """Work until `stop`."""
        self._listening.setblocking(False)
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        swept = time.monotonic()
        while not self._stopping:
            for key, _ in self._selector.select(SWEEP_S):
                if key.fileobj is self._listening:
                    self._accept()
                elif isinstance(key.data, _Waiting) and key.data.connection.fileno() in self._waiting:
                    self._advance(key.data)
            if time.monotonic() - swept >= SWEEP_S:
                swept = time.monotonic()
                self._sweep(swept)
        for waiting in list(self._waiting.values()):
            self._drop(waiting, "node_stops")
        for end in (self._wake_read, self._wake_write):
            end.close()
        self._selector.close()

    def stop(self) -> None:
        """End `run` soon; from any thread."""
        self._stopping = True
        with suppress(OSError):
            self._wake_write.send(b"x")

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, peer = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._count(f"not_accepted_{os.strerror(error.errno or 0)}".lower().replace(" ", "_"))
                # No descriptor is left: close the oldest waiting connection, and leave time for others.
                if self._waiting:
                    self._drop(next(iter(self._waiting.values())), "no_descriptors")
                time.sleep(0.01)
                return
            self._welcome(connection, address_of(peer[0]))

    def _welcome(self, connection: socket.socket, address: str) -> None:
        same = [waiting for waiting in self._waiting.values() if waiting.address == address]
        if len(same) >= self._limits.waiting_per_address:
            self._drop(same[0], "too_many_waiting_from_address")
        elif len(self._waiting) >= self._limits.waiting:
            self._drop(next(iter(self._waiting.values())), "too_many_waiting")
        try:
            connection.setblocking(False)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        except OSError:
            # The peer reset the connection early; making the TLS socket detects it.
            self._count("connection_lost")
            connection.close()
            return
        waiting = _Waiting(
            connection, address, time.monotonic() + self._limits.first_pdu_seconds, self._tls is not None
        )
        self._waiting[connection.fileno()] = waiting
        self._selector.register(connection, selectors.EVENT_READ, waiting)

    def _advance(self, waiting: _Waiting) -> None:
        try:
            if waiting.shaking_hands and isinstance(waiting.connection, ssl.SSLSocket):
                waiting.connection.do_handshake()
                waiting.shaking_hands = False
            done = self._read(waiting)
        except (BlockingIOError, ssl.SSLWantReadError):
            self._wait_for(waiting, selectors.EVENT_READ)
        except ssl.SSLWantWriteError:
            self._wait_for(waiting, selectors.EVENT_WRITE)
        except ssl.SSLError:
            self._drop(waiting, "tls_failed")
            if waiting.address not in self._failed_tls:
                self._failed_tls.add(waiting.address)
                self._on_tls_failed(waiting.address)
        except OSError:
            self._drop(waiting, "connection_lost")
        else:
            if done:
                self._leave(waiting)
                self._on_request(waiting.connection, waiting.address, bytes(waiting.received))

    def _read(self, waiting: _Waiting) -> bool:
        while len(waiting.received) < waiting.needed:
            data = waiting.connection.recv(min(waiting.needed - len(waiting.received), _CHUNK))
            if not data:
                raise ConnectionResetError
            waiting.received += data
            if waiting.needed == HEADER_LENGTH == len(waiting.received):
                kind, length = struct.unpack(">BxL", waiting.received)
                if kind != ASSOCIATE_RQ or length > self._limits.pdu_bytes_before:
                    with suppress(OSError):
                        waiting.connection.send(ABORT)
                    self._drop(waiting, "no_association_request" if kind != ASSOCIATE_RQ else "pdu_too_long")
                    return False
                waiting.needed += length
        return True

    def _wait_for(self, waiting: _Waiting, events: int) -> None:
        if waiting.events != events:
            waiting.events = events
            self._selector.modify(waiting.connection, events, waiting)

    def _sweep(self, now: float) -> None:
        for waiting in [waiting for waiting in self._waiting.values() if waiting.deadline <= now]:
            self._drop(waiting, "too_slow")
        # A flood of connections must not become a flood of log lines.
        if self._dropped and now - self._reported >= REPORT_S:
            _log.warning("connections_dropped", **dict(sorted(self._dropped.items())))
            self._dropped, self._reported = {}, now
            self._failed_tls.clear()

    def _drop(self, waiting: _Waiting, reason: str) -> None:
        self._count(reason)
        self._leave(waiting)
        with suppress(OSError):
            waiting.connection.close()

    def _leave(self, waiting: _Waiting) -> None:
        del self._waiting[waiting.connection.fileno()]
        self._selector.unregister(waiting.connection)

    def _count(self, reason: str) -> None:
        self._dropped[reason] = self._dropped.get(reason, 0) + 1


def address_of(peer: str) -> str:
    """Return a peer's address as ``peers:`` names it; a dual-stack socket gives IPv4 as ``::ffff:10.1.2.3``."""
    address = ipaddress.ip_address(peer)
    return str(address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else peer
