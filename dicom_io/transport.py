"""pynetdicom's server with the least that an open port needs: a bound on lengths, and on the time of a stalled PDU.

pynetdicom trusts the 32-bit length of a PDU before it knows who is calling, and reads without a timeout.
"""

import logging
import socket
from contextlib import suppress
from queue import Empty
from socketserver import BaseServer
from typing import cast

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

MAX_PDU_BEFORE_ASSOCIATION = 1 << 20
"""Bytes of the longest PDU that is read from a peer whose association is not yet accepted."""

MAX_PDU = 16 << 20
"""Bytes of the longest PDU that is read at all."""

STALL_TIMEOUT_S = 30.0
"""How long a peer may send nothing in the middle of a PDU."""

_log = logging.getLogger("segnode")


class BoundedSocket(AssociationSocket):
    """Reads no more, and waits no longer, than the constants of this module allow."""

    def recv(self, nr_bytes: int) -> bytearray:
        """Read a part of a PDU.

        Raises
        ------
        OSError
            If the part is longer than allowed, or the peer stalls; pynetdicom then closes the connection.
        """
        if nr_bytes > (MAX_PDU if self.assoc.is_established else MAX_PDU_BEFORE_ASSOCIATION):
            raise OSError(f"a PDU of {nr_bytes} bytes is longer than this node reads")
        connection = cast(socket.socket, self.socket)
        received = bytearray(nr_bytes)
        view, filled = memoryview(received), 0
        while filled < nr_bytes:
            count = connection.recv_into(view[filled:])
            if count == 0:
                return received[:filled]
            filled += count
        return received


class BoundedRequestHandler(RequestHandler):
    """Gives every association a `BoundedSocket`."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        self.request.settimeout(STALL_TIMEOUT_S)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The first socket has announced the connection already; the second must not do so again.
        with suppress(Empty):
            association.dul.event_queue.get_nowait()
        association.dul.socket = BoundedSocket(association, client_socket=self.request)
        return association


class BoundedServer(ThreadedAssociationServer):
    """A server that belongs to whoever made it, not to the application entity."""

    def __init__(self, ae: AE, address: tuple[str, int], handlers: list[EventHandlerType]) -> None:
        contexts = ae.supported_contexts
        super().__init__(
            ae, address, ae.ae_title, contexts, evt_handlers=handlers, request_handler=BoundedRequestHandler
        )

    def shutdown(self) -> None:
        """Stop accepting, and close the listening socket."""
        BaseServer.shutdown(self)
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Log the kind of an error that ended a connection, and no more: a traceback may quote what a peer sent."""
        _log.error("connection_failed", exc_info=True)
