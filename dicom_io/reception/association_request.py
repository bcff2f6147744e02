"""A-ASSOCIATE-RQ (PS3.8 9.3.2): checked as bytes before any object is made of it, then decoded.

pynetdicom makes an object of every item it finds. 1 MiB of empty items would make hundreds of megabytes.
"""

import struct
from collections.abc import Iterator

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE

from dicom_io.images.headers.attributes import MALFORMED

ASSOCIATE_RQ = 0x01
HEADER_LENGTH = 6
MAX_CONTEXTS = 128
"""Presentation context IDs are the odd numbers of a byte."""

MAX_ITEMS = 8192
"""Items and sub-items of one request; 128 contexts of 60 transfer syntaxes each stay below it."""

_FIXED_LENGTH = 74
_PRESENTATION_CONTEXT = 0x20
_USER_INFORMATION = 0x50
_SUB_ITEMS_AT = {_PRESENTATION_CONTEXT: 4, _USER_INFORMATION: 0}
_PROTOCOL_VERSION = struct.Struct(">6xH")
UNDECODABLE = (*MALFORMED, AssertionError)
"""Errors that pynetdicom and pydicom raise for malformed bytes."""


class RequestError(ValueError):
    """The bytes are not an association request, or one beyond the limits."""


def decode_request(pdu: bytes) -> A_ASSOCIATE:
    """Decode a whole A-ASSOCIATE-RQ PDU.

    Raises
    ------
    RequestError
        If it is malformed, has no or more than `MAX_CONTEXTS` contexts, or names one context ID twice.
    """
    _look_through(pdu)
    decoded = A_ASSOCIATE_RQ()
    try:
        decoded.decode(pdu)
        request = decoded.to_primitive()
        contexts = request.presentation_context_definition_list
        numbers = [context.context_id for context in contexts]
        complete = all(context.abstract_syntax and context.transfer_syntax for context in contexts)
    except UNDECODABLE as error:
        raise RequestError(type(error).__name__) from error
    if not contexts or not complete:
        raise RequestError("no presentation context, or one without syntax")
    if len(numbers) != len(set(numbers)):
        raise RequestError("a presentation context ID comes twice")
    return request


def has_known_version(pdu: bytes) -> bool:
    """Tell whether the request names protocol version 1: only bit 0 counts (PS3.8 table 9-11)."""
    return bool(_PROTOCOL_VERSION.unpack_from(pdu)[0] & 1)


def _look_through(pdu: bytes) -> None:
    if len(pdu) < _FIXED_LENGTH or pdu[0] != ASSOCIATE_RQ:
        raise RequestError("not an association request")
    contexts = 0
    for count, kind in enumerate(_kinds(pdu), start=1):
        contexts += kind == _PRESENTATION_CONTEXT
        if contexts > MAX_CONTEXTS:
            raise RequestError(f"more than {MAX_CONTEXTS} presentation contexts")
        if count > MAX_ITEMS:
            raise RequestError(f"more than {MAX_ITEMS} items")


def _kinds(pdu: bytes) -> Iterator[int]:
    for kind, start, end in _items(pdu, _FIXED_LENGTH, len(pdu)):
        yield kind
        if kind in _SUB_ITEMS_AT:
            yield from (sub_item for sub_item, _, _ in _items(pdu, start + _SUB_ITEMS_AT[kind], end))


def _items(pdu: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    while start < end:
        if start + 4 > end:
            raise RequestError("an item is cut off")
        kind, length = struct.unpack_from(">BxH", pdu, start)
        if start + 4 + length > end:
            raise RequestError("an item is longer than the item that holds it")
        yield kind, start + 4, start + 4 + length
        start += 4 + length
