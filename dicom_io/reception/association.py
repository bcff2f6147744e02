"""One association, from its acceptance on, in one thread: PDUs become messages, and services answer them.

pynetdicom's association has two threads and three queues, and assembles every message in memory: each image costs
hand-offs between them, and two copies. Here a data set goes from the socket's buffer to its sink, piece by piece.

References
----------
PS3.8 section 9.3 and annex E (PDUs, presentation data values), PS3.7 section 6.3 (messages).
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from core.event_log import EventLog
from dicom_io.reception.dimse import (
    C_CANCEL_RQ,
    MAX_COMMAND_BYTES,
    RESPONSE,
    UNRECOGNIZED_OPERATION,
    Command,
    decode_command,
    encode_response,
)
from dicom_io.reception.limits import Limits
from dicom_io.reception.pdu_stream import (
    ABORT,
    ABORT_RQ,
    P_DATA_TF,
    RELEASE_RP,
    RELEASE_RQ,
    BreachError,
    ConnectionEndedError,
    PduStream,
)

_IS_COMMAND, _IS_LAST = 1, 2
_VALUE = struct.Struct(">LBB")
_VALUE_OVERHEAD = 6
RELEASED = struct.pack(">BBLL", RELEASE_RP, 0, 4, 0)

_log = EventLog()


@dataclass(frozen=True, eq=False)
class Caller:
    """The peer that opened an association; no two are equal.

    Attributes
    ----------
    calling_ae, called_ae
        AE titles of the request.
    address
        IP address.
    """

    calling_ae: str
    called_ae: str
    address: str


@dataclass(frozen=True)
class Context:
    """An accepted presentation context."""

    abstract_syntax: str
    transfer_syntax: str


class Request(Protocol):
    """A request that is being served; it takes its data set, then answers."""

    def write(self, piece: memoryview) -> None:
        """Take a piece of the data set; an error in it is reported by `finish`."""

    def finish(self) -> int | None:
        """Serve the request, and return the status of the response; None if there is no response."""

    def discard(self) -> None:
        """Drop the request, whose data set never ends."""


Service = Callable[[Caller, Context, Command], Request]


class Answered:
    """A request that needs only a status; its data set is ignored."""

    def __init__(self, status: int | None) -> None:
        self._status = status

    def write(self, piece: memoryview) -> None:
        """Do nothing."""

    def finish(self) -> int | None:
        """Return the status."""
        return self._status

    def discard(self) -> None:
        """Do nothing."""


class ServedAssociation:
    """An association that is served until it ends.

    Parameters
    ----------
    wire
        Its connection.
    caller
        The peer that opened it.
    contexts
        Accepted presentation contexts by their IDs.
    max_length
        Longest PDU that the peer receives; 0 for any.
    limits
        Limits for every peer.
    services
        Services by command field.
    """

    def __init__(
        self,
        wire: PduStream,
        caller: Caller,
        contexts: Mapping[int, Context],
        max_length: int,
        limits: Limits,
        services: Mapping[int, Service],
    ) -> None:
        self._wire = wire
        self._caller = caller
        self._contexts = contexts
        self._max_length = max_length
        self._limits = limits
        self._services = services
        self._context_id = 0
        self._encoded = bytearray()
        self._command: Command | None = None
        self._request: Request = Answered(None)
        self._length = 0

    def serve(self) -> None:
        """Serve requests until the peer releases, aborts or leaves, or has to be aborted."""
        try:
            last_word = self._serve_all()
        except BreachError as breach:
            _log.warning("association_aborted", reason=breach.reason, address=self._caller.address)
            last_word = ABORT
        except ConnectionEndedError:
            self._say_if_cut_short("connection_ended")
            last_word = None
        finally:
            self._request.discard()
        if last_word is not None:
            self._wire.say_last(last_word)

    def _say_if_cut_short(self, how: str) -> None:
        """Log a truncated object: its sender gets no response any more, and a person who misses an image finds this."""
        if self._command is not None:
            address = self._caller.address
            _log.warning("object_truncated", reason=how, bytes=self._length, address=address)

    def _serve_all(self) -> bytes | None:
        while True:
            kind, length = self._wire.next_pdu()
            if kind == RELEASE_RQ:
                self._say_if_cut_short("released")
                return RELEASED
            if kind == ABORT_RQ:
                self._say_if_cut_short("aborted")
                return None
            if kind != P_DATA_TF:
                raise BreachError("pdu_out_of_turn")
            self._take_values(length)

    def _take_values(self, left: int) -> None:
        while left:
            if left < _VALUE.size:
                raise BreachError("pdv_cut_off")
            size, context_id, control = _VALUE.unpack(self._wire.take(_VALUE.size))
            if not 2 <= size <= left - 4:
                raise BreachError("pdv_of_wrong_length")
            left -= 4 + size
            self._check(context_id, is_command=bool(control & _IS_COMMAND))
            if control & _IS_COMMAND:
                self._take_command(size - 2, is_last=bool(control & _IS_LAST))
            else:
                self._take_data(size - 2, is_last=bool(control & _IS_LAST))

    def _check(self, context_id: int, *, is_command: bool) -> None:
        if context_id not in self._contexts:
            raise BreachError("context_not_accepted")
        if is_command == (self._command is not None):
            raise BreachError("command_in_data_set" if is_command else "data_set_before_command")
        begun = self._command is not None or self._encoded
        if begun and context_id != self._context_id:
            raise BreachError("context_changed")
        self._context_id = context_id

    def _take_command(self, length: int, *, is_last: bool) -> None:
        if len(self._encoded) + length > MAX_COMMAND_BYTES:
            raise BreachError("command_too_long")
        for piece in self._wire.pieces(length):
            self._encoded += piece
        if not is_last:
            return
        command = decode_command(bytes(self._encoded))
        self._encoded.clear()
        self._length = 0
        self._request = self._begin(command)
        if command.has_data_set:
            self._command = command
        else:
            self._answer(command)

    def _begin(self, command: Command) -> Request:
        if command.field & RESPONSE or command.field == C_CANCEL_RQ:
            return Answered(None)  # to what this node did not ask, or has done already
        service = self._services.get(command.field)
        if service is None:
            _log.warning("command_refused", reason="unrecognized", command=f"0x{command.field:04X}")
            return Answered(UNRECOGNIZED_OPERATION)
        return service(self._caller, self._contexts[self._context_id], command)

    def _take_data(self, length: int, *, is_last: bool) -> None:
        self._length += length
        if self._length > self._limits.object_bytes:
            raise BreachError("object_too_long")
        for piece in self._wire.pieces(length):
            self._request.write(piece)
        if is_last and self._command is not None:
            command, self._command = self._command, None
            self._answer(command)

    def _answer(self, command: Command) -> None:
        status = self._request.finish()
        self._request = Answered(None)
        if status is not None:
            for pdu in self._pdus(encode_response(command, status)):
                self._wire.send(pdu)

    def _pdus(self, message: bytes) -> list[bytes]:
        # A peer that receives no more than a few bytes at once gets a few bytes at once.
        room = max(1, self._max_length - _VALUE_OVERHEAD) if self._max_length else len(message)
        pdus = []
        for start in range(0, len(message), room):
            part = message[start : start + room]
            control = _IS_COMMAND | (_IS_LAST if start + room >= len(message) else 0)
            value = _VALUE.pack(len(part) + 2, self._context_id, control) + part
            pdus.append(struct.pack(">BBL", P_DATA_TF, 0, len(value)) + value)
        return pdus
