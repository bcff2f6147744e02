"""Command sets of messages (PS3.7 section 6.3.1 and annex E): always implicit little endian, and short."""

import struct
from dataclasses import dataclass

from dicom_io.reception.pdu_stream import BreachError
from dicom_io.uids import is_uid

C_STORE_RQ, C_ECHO_RQ, N_EVENT_REPORT_RQ, C_CANCEL_RQ = 0x0001, 0x0030, 0x0100, 0x0FFF
UNRECOGNIZED_OPERATION = 0x0211
"""Status (PS3.7 annex C.5.23)."""

RESPONSE = 0x8000
"""The bit of a command field that makes it a response."""

MAX_COMMAND_BYTES = 65536
_SOP_CLASS, _FIELD, _MESSAGE_ID, _ANSWERED_ID = 0x0002, 0x0100, 0x0110, 0x0120
_DATA_SET_TYPE, _STATUS, _INSTANCE, _EVENT_TYPE = 0x0800, 0x0900, 0x1000, 0x1002
_NO_DATA_SET = 0x0101
_ELEMENT = struct.Struct("<HHL")
_NUMBER = struct.Struct("<H")


@dataclass(frozen=True)
class Command:
    """One command set.

    Attributes
    ----------
    field
        Command Field.
    message_id
        Message ID, to which its response refers.
    has_data_set
        Whether a data set follows.
    sop_class, instance
        Affected SOP Class and Instance UID, as received but for their padding: any bytes, not yet checked as UIDs.
    event_type
        Of an N-EVENT-REPORT.
    """

    field: int
    message_id: int
    has_data_set: bool
    sop_class: str = ""
    instance: str = ""
    event_type: int | None = None


def decode_command(encoded: bytes) -> Command:
    """Decode a command set.

    Raises
    ------
    BreachError
        If it is malformed, or lacks an element that every command has.
    """
    elements = _elements(encoded)
    field, data_set_type = _number(elements, _FIELD), _number(elements, _DATA_SET_TYPE)
    if field is None or data_set_type is None:
        raise BreachError("message_undecodable")
    return Command(
        field,
        _number(elements, _MESSAGE_ID) or 0,
        data_set_type != _NO_DATA_SET,
        _text(elements, _SOP_CLASS),
        _text(elements, _INSTANCE),
        _number(elements, _EVENT_TYPE),
    )


def encode_response(request: Command, status: int) -> bytes:
    """Encode the command set of a response: the request's UIDs if they are valid, its event type, and a status.

    Parameters
    ----------
    request
        The request that is answered.
    status
        PS3.7 annex C, PS3.4 table B.2-1.
    """
    elements = [
        _element(_FIELD, _NUMBER.pack(request.field | RESPONSE)),
        _element(_ANSWERED_ID, _NUMBER.pack(request.message_id)),
        _element(_DATA_SET_TYPE, _NUMBER.pack(_NO_DATA_SET)),
        _element(_STATUS, _NUMBER.pack(status)),
    ]
    if is_uid(request.sop_class):
        elements.insert(0, _element(_SOP_CLASS, _padded(request.sop_class)))
    if is_uid(request.instance):
        elements.append(_element(_INSTANCE, _padded(request.instance)))
    if request.event_type is not None:
        elements.append(_element(_EVENT_TYPE, _NUMBER.pack(request.event_type)))
    encoded = b"".join(elements)
    return _element(0, struct.pack("<L", len(encoded))) + encoded


def _elements(encoded: bytes) -> dict[int, bytes]:
    elements, at = {}, 0
    while at < len(encoded):
        if at + _ELEMENT.size > len(encoded):
            raise BreachError("message_undecodable")
        group, number, length = _ELEMENT.unpack_from(encoded, at)
        at += _ELEMENT.size
        if group != 0 or at + length > len(encoded):
            raise BreachError("message_undecodable")
        elements[number] = encoded[at : at + length]
        at += length
    return elements


def _number(elements: dict[int, bytes], number: int) -> int | None:
    value = elements.get(number, b"")
    return int(_NUMBER.unpack(value)[0]) if len(value) == _NUMBER.size else None


def _text(elements: dict[int, bytes], number: int) -> str:
    return elements.get(number, b"").decode("latin-1").rstrip("\0 ")


def _padded(text: str) -> bytes:
    return text.encode("latin-1") + b"\0" * (len(text) % 2)


def _element(number: int, value: bytes) -> bytes:
    return _ELEMENT.pack(0, number, len(value)) + value
