"""pynetdicom's association with bounds: on the length and the time of a PDU, on a message, and on what is queued.

Its two threads wait for what they need, where pynetdicom's look for it a thousand times a second: fifty idle
associations would otherwise keep a CPU busy, and a busy one answers later.
"""

import logging
import os
import queue
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from pynetdicom import AE
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from dicom_io.reception.association_request import UNDECODABLE
from dicom_io.reception.encoding import store_response
from dicom_io.reception.limits import Limits

NEGOTIATION_TIMEOUT_S = 5.0
"""For steps of an association whose input is already here, and for a peer to close its end."""

IDLE_WAIT_S = 0.25
MAX_QUEUED_MESSAGES = 2
MAX_COMMAND_BYTES = 65536
_STEP_S = 0.001
_RESPONSE_FITS = 512
_GROWTH = 1 << 20
_ESTABLISHED = "Sta6"
ABORT = struct.pack(">BBLBBBB", 7, 0, 4, 0, 0, 2, 6)
"""A-ABORT by the service provider, invalid PDU parameter value (PS3.8 9.3.8)."""

_log = logging.getLogger("segnode")


class BoundedSocket(AssociationSocket):
    """Reads no more, and waits no longer, than the limits allow.

    Parameters
    ----------
    assoc
        Its association.
    connection
        The connected socket.
    limits
        The limits.
    first_pdu
        The association request, which was read before there was an association.
    """

    def __init__(self, assoc: "ServedAssociation", connection: socket.socket, limits: Limits, first_pdu: bytes) -> None:
        super().__init__(assoc, client_socket=connection)
        self._limits = limits
        self._first = memoryview(first_pdu)
        self._deadline = 0.0
        self._connection = connection
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # A number that was closed may already be another file's.
        self._wake_lock = threading.Lock()

    def wake(self) -> None:
        """Have `ready` return at once; from any thread."""
        with self._wake_lock:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def close_all(self) -> None:
        """Give back every descriptor, when both threads of the association have ended."""
        self._shutdown_socket()
        self._connection.close()
        with self._wake_lock:
            if self._wake >= 0:
                os.close(self._wake)
            self._wake = -1

    @property
    def ready(self) -> bool:
        """Whether there is something to read; waits for it where nothing else is to be done."""
        if self._first:
            return True
        connection = self.socket
        if connection is None or not self._is_connected or self._has_enough():
            time.sleep(_STEP_S)
            return False
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        established = self.assoc.dul.state_machine.current_state == _ESTABLISHED
        poll = select.poll()
        try:
            poll.register(connection, select.POLLIN)
            poll.register(self._wake, select.POLLIN)
            found = dict(poll.poll(1000 * (IDLE_WAIT_S if established else _STEP_S)))
        except (OSError, ValueError):
            self.event_queue.put("Evt17")
            return False
        if found.pop(self._wake, None) is not None:
            with suppress(BlockingIOError):
                os.eventfd_read(self._wake)
        return bool(found)

    def _has_enough(self) -> bool:
        # A peer that does not wait for answers must not fill the memory with its messages.
        return self.assoc.dimse.msg_queue.qsize() >= MAX_QUEUED_MESSAGES

    def begin_pdu(self) -> None:
        """Start the clock for the next PDU."""
        self._deadline = time.monotonic() + self._limits.pdu_seconds

    def recv(self, nr_bytes: int) -> bytearray:
        """Read a part of a PDU.

        Raises
        ------
        OSError
            If the part is longer than allowed, or the PDU takes longer; pynetdicom then closes the connection.
        """
        if self._first:
            part, self._first = self._first[:nr_bytes], self._first[nr_bytes:]
            return bytearray(part)
        if nr_bytes > self._limits.pdu_bytes:
            self._abort("pdu_too_long")
            raise OSError(f"a PDU of {nr_bytes} bytes is longer than this node reads")
        connection = cast(socket.socket, self.socket)
        # What a length claims is not made room for until it comes.
        received, filled = bytearray(min(nr_bytes, _GROWTH)), 0
        while filled < nr_bytes:
            if filled == len(received):
                received += bytes(min(nr_bytes - filled, _GROWTH))
            left = self._deadline - time.monotonic()
            if left <= 0:
                self._abort("pdu_too_slow")
                raise TimeoutError("a PDU took too long")
            connection.settimeout(left)
            with memoryview(received) as view:
                try:
                    count = connection.recv_into(view[filled:])
                except TimeoutError:
                    # The clock at the top of the loop says so.
                    continue
            if count == 0:
                return received[:filled]
            filled += count
        connection.settimeout(self._limits.pdu_seconds)
        return received

    def _abort(self, reason: str) -> None:
        # pynetdicom closes a connection that it cannot read from without a word.
        _log.warning("association_aborted", extra={"reason": reason})
        connection = cast(socket.socket, self.socket)
        with suppress(OSError):
            connection.settimeout(_STEP_S)
            connection.send(ABORT)


class _Dul(DULServiceProvider):
    """The upper layer, which wakes up when something is to be sent and times every PDU."""

    def __init__(self, assoc: Association) -> None:
        super().__init__(assoc)
        self.to_user_queue = _AnnouncingQueue(lambda: assoc.dimse.msg_queue.put((None, None)))
        self._run_loop_delay = 0.0

    def send_pdu(self, primitive: Any) -> None:
        super().send_pdu(primitive)
        if isinstance(self.socket, BoundedSocket):
            self.socket.wake()

    def kill_dul(self) -> None:
        super().kill_dul()
        if isinstance(self.socket, BoundedSocket):
            self.socket.wake()

    def run_reactor(self) -> None:
        try:
            super().run_reactor()
        except InvalidEventError:
            # What comes in a state that does not know it, such as the end of a connection that has ended; the
            # association sees that this thread is gone, and closes what is left.
            _log.warning("association_aborted", extra={"reason": "out_of_turn"})

    def _read_pdu_data(self) -> None:
        cast(BoundedSocket, self.socket).begin_pdu()
        super()._read_pdu_data()


class _AnnouncingQueue(queue.Queue[Any]):
    def __init__(self, announce: Callable[[], None]) -> None:
        super().__init__()
        self._announce = announce

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._announce()


class _Dimse(DIMSEServiceProvider):
    """Messages, none longer than allowed, none out of order, waited for instead of looked for."""

    def __init__(self, assoc: Association, limits: Limits) -> None:
        super().__init__(assoc)
        self._limits = limits
        self._length = 0

    def get_msg(self, block: bool = False) -> Any:
        """The next message; serves those that come one after another itself, without the caller's pauses."""
        while True:
            try:
                context_id, message = self.msg_queue.get(timeout=IDLE_WAIT_S)
            except queue.Empty:
                return None, None
            if message is None or context_id is None or not self.assoc.is_established:
                return None, None
            self.assoc._serve_request(message, context_id)

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message; the one that follows every image without pydicom's help."""
        room = self.maximum_pdu_size == 0 or self.maximum_pdu_size > _RESPONSE_FITS
        if not (isinstance(primitive, C_STORE) and primitive.Status == 0 and room):
            super().send_msg(primitive, context_id)
            return
        uids = str(primitive.AffectedSOPClassUID), str(primitive.AffectedSOPInstanceUID)
        command = store_response(cast(int, primitive.MessageIDBeingRespondedTo), *uids, 0)
        data = P_DATA()
        data.presentation_data_value_list = [[context_id, b"\3" + command]]  # type: ignore[list-item]
        self.dul.send_pdu(data)

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take one P-DATA; a peer that breaks the rules of messages is aborted (PS3.8 9.3.8)."""
        problem = self._problem_of(primitive)
        if problem is None:
            try:
                super().receive_primitive(primitive)
            except UNDECODABLE:
                problem = "message_undecodable"
        if self.message is None:
            self._length = 0
        if problem is not None:
            _log.warning("association_aborted", extra={"reason": problem})
            self.message = None
            self.dul.event_queue.put("Evt19")

    def _problem_of(self, primitive: P_DATA) -> str | None:
        in_data_set = self.message is not None and self.message.context_id is not None
        for context_id, value in primitive.presentation_data_value_list:
            if not value:
                return "empty_pdv"
            if context_id not in self.assoc._accepted_cx:
                return "context_not_accepted"
            is_command = bool(value[0] & 1)
            if is_command == in_data_set:
                return "command_in_data_set" if is_command else "data_set_before_command"
            if not is_command and self.message is not None and self.message.context_id not in (None, context_id):
                return "context_changed"
            self._length += len(value)
            if self._length > (MAX_COMMAND_BYTES if is_command else self._limits.object_bytes):
                return "command_too_long" if is_command else "object_too_long"
            # The data set may follow the end of its command within one PDU; what has none ends the message here.
            in_data_set = in_data_set or bool(is_command and value[0] & 2)
        return None


class ServedAssociation(Association):
    """One association of the listener, from its request on.

    Parameters
    ----------
    ae
        The application entity.
    limits
        The limits.
    on_end
        Called in its own thread, when everything of it is closed.
    """

    def __init__(self, ae: AE, limits: Limits, on_end: Callable[[], None]) -> None:
        super().__init__(ae, MODE_ACCEPTOR)
        self._on_end = on_end
        self.dul = _Dul(self)
        self.dul.daemon = True
        self.dimse = _Dimse(self, limits)
        self.acse_timeout = NEGOTIATION_TIMEOUT_S
        self.network_timeout = limits.idle_seconds

    def run_reactor(self) -> None:
        """Serve the association until it ends."""
        try:
            super().run_reactor()
        finally:
            self.dul.kill_dul()
            self.dul.join(NEGOTIATION_TIMEOUT_S)
            cast(BoundedSocket, self.dul.socket).close_all()
            self._on_end()
