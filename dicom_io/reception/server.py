"""The listening side of the DICOM upper layer: an acceptor for new connections, then one association for each.

pynetdicom trusts the 32-bit length of a PDU before it knows the caller, shakes hands for TLS in its accept loop,
and gives every connection two threads. Here a connection gets its one thread only with a whole request, and becomes an
association if the node accepts it (see `dicom_io.reception.acceptor`, `dicom_io.reception.association`).
"""

import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from enum import Enum
from typing import cast

from pynetdicom import AE
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import AssociationServer

from core.event_log import EventLog
from core.raised_at import raised_at
from core.rate_limit import RateLimit
from dicom_io.reception.acceptor import ABORT, REPORT_S, Acceptor
from dicom_io.reception.association import Caller, ServedAssociation, Service
from dicom_io.reception.association_request import RequestError, decode_request, has_known_version
from dicom_io.reception.limits import Limits
from dicom_io.reception.negotiation import negotiate
from dicom_io.reception.pdu_stream import PduStream

LINGER_S = 1.0
"""Time that a rejected peer may take to close its end."""

_log = EventLog()


class Rejection(Enum):
    """Rejections of an association: result, source and reason of A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

    CALLING_AE = (1, 1, 3)
    CALLED_AE = (1, 1, 7)
    PROTOCOL_VERSION = (1, 2, 2)
    TOO_MANY = (2, 3, 2)

    @property
    def pdu(self) -> bytes:
        """Return the PDU."""
        return struct.pack(">BBLBBBB", 3, 0, 4, 0, *self.value)


Admission = Callable[[A_ASSOCIATE, str, ssl.SSLSocket | None], Rejection | None]
"""A decision on a request, by its content, the peer's address, and the connection if that is TLS."""


class NodeServer(AssociationServer):
    """A server that belongs to its creator, not to the application entity.

    Parameters
    ----------
    ae
        The application entity, with the presentation contexts that it serves.
    address
        Host and port to listen on.
    services
        Services by command field.
    limits
        Limits for every peer.
    admit
        Decides on each request.
    on_end
        Called when an association has ended.
    on_tls_failed
        Called with the address of a peer that fails the TLS handshake; now and then, not for each attempt.
    tls
        TLS context, if connections must be encrypted.
    shares_port
        Whether other processes may listen on the same port (``SO_REUSEPORT``).
    """

    request_queue_size = 1024

    def __init__(
        self,
        ae: AE,
        address: tuple[str, int],
        services: Mapping[int, Service],
        *,
        limits: Limits,
        admit: Admission,
        on_end: Callable[[Caller], None],
        on_tls_failed: Callable[[str], None],
        tls: ssl.SSLContext | None = None,
        shares_port: bool = False,
    ) -> None:
        self._services = services
        self._limits = limits
        self._admit = admit
        self._on_end = on_end
        self._shares_port = shares_port
        self._lock = threading.Lock()
        self._associations: Counter[str] = Counter()
        self._live: dict[threading.Thread, PduStream] = {}
        self._rejections = RateLimit(REPORT_S)
        super().__init__(ae, address, ae.ae_title, ae.supported_contexts)
        self._acceptor = Acceptor(cast(socket.socket, self.socket), limits, tls, self._on_request, on_tls_failed)
        self._ended = threading.Event()

    def server_bind(self) -> None:
        """Bind the socket."""
        listening = cast(socket.socket, self.socket)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._shares_port:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(self.server_address)
        self.server_address = listening.getsockname()

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Accept connections until `shutdown`."""
        try:
            self._acceptor.run()
        finally:
            self._ended.set()

    def shutdown(self) -> None:
        """Stop accepting, and close the listening socket."""
        self._acceptor.stop()
        self._ended.wait(LINGER_S)
        self.server_close()

    def end_associations(self, grace_s: float) -> None:
        """Let associations go on for a while, then abort those that are still open."""
        deadline = time.monotonic() + grace_s
        with self._lock:
            live = dict(self._live)
        _join_all(live, deadline)
        for thread, wire in live.items():
            if thread.is_alive():
                wire.hang_up()
        _join_all(live, time.monotonic() + LINGER_S)

    def _on_request(self, connection: socket.socket, address: str, pdu: bytes) -> None:
        with self._lock:
            busy = self._associations.total() >= self._limits.associations
            greedy = self._associations[address] >= self._limits.associations_per_address
            if not (busy or greedy):
                self._associations[address] += 1
        if busy or greedy:
            # Rejected without a thread: this is where a flood of whole requests ends.
            with suppress(OSError):
                connection.send(Rejection.TOO_MANY.pdu)
                connection.close()
            self._log_rejection(address, "too_many_from_address" if greedy else "too_many_associations")
            return
        thread = threading.Thread(target=self._begin, args=(connection, address, pdu), name="association", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._log_rejection(address, "no_thread")
            connection.close()
            self._forget(address)

    def _begin(self, connection: socket.socket, address: str, pdu: bytes) -> None:
        try:
            connection.settimeout(self._limits.pdu_seconds)
            answer = self._answer_to(connection, address, pdu)
            if isinstance(answer, A_ASSOCIATE):
                self._associate(connection, address, answer)
            else:
                _say_and_close(connection, answer)
        except Exception as error:  # noqa: BLE001 - the outermost loop of its thread; its text may quote the peer
            at = raised_at(error.__traceback__)
            _log.error("association_failed", error=type(error).__name__, at=at, address=address)
            _say_and_close(connection, ABORT)
        finally:
            connection.close()
            self._forget(address)

    def _answer_to(self, connection: socket.socket, address: str, pdu: bytes) -> A_ASSOCIATE | bytes:
        """Return the request if it is accepted, or else the PDU that rejects it."""
        try:
            request = decode_request(pdu)
        except RequestError:
            self._log_rejection(address, "malformed_request")
            return ABORT
        if not has_known_version(pdu):
            rejection: Rejection | None = Rejection.PROTOCOL_VERSION
        else:
            rejection = self._admit(request, address, connection if isinstance(connection, ssl.SSLSocket) else None)
        if rejection is None:
            return request
        self._log_rejection(address, rejection.name.lower())
        return rejection.pdu

    def _associate(self, connection: socket.socket, address: str, request: A_ASSOCIATE) -> None:
        acceptance, contexts = negotiate(request, self.contexts)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.sendall(acceptance)
        except OSError:
            return  # the peer is gone
        wire = PduStream(connection, self._limits)
        caller = Caller(request.calling_ae_title, request.called_ae_title, address)
        max_length = request.maximum_length_received or 0
        with self._lock:
            self._live[threading.current_thread()] = wire
        try:
            ServedAssociation(wire, caller, contexts, max_length, self._limits, self._services).serve()
        finally:
            with self._lock:
                del self._live[threading.current_thread()]
            self._on_end(caller)

    def _forget(self, address: str) -> None:
        with self._lock:
            self._associations[address] -= 1
            if self._associations[address] <= 0:
                del self._associations[address]

    def _log_rejection(self, address: str, reason: str) -> None:
        if (more := self._rejections.due((address, reason))) is None:
            return
        _log.warning("association_rejected", address=address, reason=reason, before=more)


def _join_all(threads: Iterable[threading.Thread], deadline: float) -> None:
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _say_and_close(connection: socket.socket, pdu: bytes) -> None:
    # A socket that is closed with bytes unread resets the connection, and the peer would not read the answer.
    deadline = time.monotonic() + LINGER_S
    with suppress(OSError):
        connection.sendall(pdu)
        connection.shutdown(socket.SHUT_WR)
        while (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            if not connection.recv(4096):
                return
