"""PDUs of one connection (PS3.8 section 9.3), bounded in length and time, through one buffer of fixed size.

No memory is reserved for a claimed length: the values of a PDU are handed on in the pieces in which they come, so an
object of any size costs the same memory.
"""

import select
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

from dicom_io.reception.limits import Limits

P_DATA_TF, RELEASE_RQ, RELEASE_RP, ABORT_RQ = 0x04, 0x05, 0x06, 0x07
BUFFER_BYTES = 1 << 18
"""Two PDUs of the length that is offered."""

LINGER_S = 0.5
"""Time that a peer may take to close its end after an abort or a release."""

ABORT = struct.pack(">BBLBBBB", ABORT_RQ, 0, 4, 0, 0, 2, 6)
"""A-ABORT by the service provider, invalid PDU parameter value (PS3.8 9.3.8)."""

_HEADER = struct.Struct(">BxL")


class BreachError(Exception):
    """A peer violates the protocol or exceeds a limit: its association is aborted.

    Parameters
    ----------
    reason
        The reason's code, for the log.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ConnectionEndedError(Exception):
    """The peer closed the connection, or it broke."""


class PduStream:
    """A connection's reader and writer; it belongs to one thread, except for `hang_up`.

    Parameters
    ----------
    connection
        The connected socket, TLS or not; it becomes non-blocking.
    limits
        Limits for every peer.
    """

    def __init__(self, connection: socket.socket, limits: Limits) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._limits = limits
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._start = self._end = 0
        self._left = 0.0
        self._too_late = ""
        self._poll = select.poll()

    def next_pdu(self) -> tuple[int, int]:
        """Read type and length of the next PDU; the one before must have been read to its end.

        Raises
        ------
        BreachError
            If it exceeds the longest PDU allowed, or nothing comes in time.
        ConnectionEndedError
            If the connection has ended.
        """
        if self._start == self._end:
            self._allow(self._limits.idle_seconds, "idle")
            self._fill()
        # From its first byte on the clock runs while the peer is waited for, however often something comes: a disk
        # that takes its time over what has come is no fault of the peer's.
        self._allow(self._limits.pdu_seconds, "pdu_too_slow")
        kind, length = _HEADER.unpack(self.take(_HEADER.size))
        if length > self._limits.pdu_bytes:
            raise BreachError("pdu_too_long")
        return kind, length

    def take(self, count: int) -> bytes:
        """Read the next few bytes of a PDU."""
        while self._end - self._start < count:
            self._fill()
        self._start += count
        return bytes(self._buffer[self._start - count : self._start])

    def pieces(self, count: int) -> Iterator[memoryview]:
        """Yield the next bytes of a PDU as they come; each piece is valid until the next is requested."""
        while count:
            if self._start == self._end:
                self._fill()
            piece = self._buffer[self._start : min(self._end, self._start + count)]
            self._start += len(piece)
            count -= len(piece)
            yield piece

    def send(self, pdu: bytes) -> None:
        """Write a PDU.

        Raises
        ------
        BreachError
            If the peer takes too long to read it.
        ConnectionEndedError
            If the peer is gone.
        """
        self._allow(self._limits.pdu_seconds, "answer_not_read")
        while pdu:
            try:
                pdu = pdu[self._connection.send(pdu) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait_for(select.POLLOUT)
            except ssl.SSLWantReadError:
                self._wait_for(select.POLLIN)
            except OSError as error:
                raise ConnectionEndedError from error

    def say_last(self, pdu: bytes) -> None:
        """Write a PDU that ends the association, and read on for a while.

        A socket that is closed with bytes unread resets the connection, and the peer would not read the PDU.
        """
        with suppress(OSError, ConnectionEndedError, BreachError):
            self._connection.send(pdu)
            socket.socket.shutdown(self._connection, socket.SHUT_WR)
            self._allow(LINGER_S, "linger")
            # A peer that never stops sending is never waited for.
            deadline = time.monotonic() + LINGER_S
            while time.monotonic() < deadline:
                self._start = self._end = 0
                self._fill()

    def hang_up(self) -> None:
        """Abort the association from another thread; the reading thread then finds the connection ended."""
        with suppress(OSError):
            # The TLS layer is the other thread's: there the peer only sees the end.
            if not isinstance(self._connection, ssl.SSLSocket):
                self._connection.send(ABORT)
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)

    def _allow(self, seconds: float, too_late: str) -> None:
        self._left, self._too_late = seconds, too_late

    def _fill(self) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._buffer):
            # The beginning of a header is left.
            rest = bytes(self._buffer[self._start : self._end])
            self._start, self._end = 0, len(rest)
            self._buffer[: self._end] = rest
        self._end += self._receive(self._buffer[self._end :])

    def _receive(self, free: memoryview) -> int:
        while True:
            try:
                count = self._connection.recv_into(free)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait_for(select.POLLIN)
            except ssl.SSLWantWriteError:
                self._wait_for(select.POLLOUT)
            except OSError as error:
                raise ConnectionEndedError from error
            else:
                if count == 0:
                    raise ConnectionEndedError
                return count

    def _wait_for(self, events: int) -> None:
        self._poll.register(self._connection, events)
        begun = time.monotonic()
        came = self._left > 0 and self._poll.poll(1000 * self._left)
        self._left -= time.monotonic() - begun
        if not came:
            raise BreachError(self._too_late)
