"""The two small encodings of every store, written out: pydicom's data sets cost a third of the time of an image."""

import struct

from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION

_PREAMBLE = bytes(128) + b"DICM"
_C_STORE_RSP = 0x8001
_NO_DATA_SET = 0x0101


def file_head(sop_class: str, instance: str, transfer_syntax: str) -> bytes:
    """Preamble and file meta information (PS3.10 section 7.1); a data set in the transfer syntax follows it.

    Parameters
    ----------
    sop_class, instance, transfer_syntax
        UIDs of the data set.
    """
    elements = b"".join(
        (
            struct.pack("<HH2sHL2s", 2, 1, b"OB", 0, 2, b"\0\1"),
            _text(2, b"UI", sop_class, b"\0"),
            _text(3, b"UI", instance, b"\0"),
            _text(0x10, b"UI", transfer_syntax, b"\0"),
            _text(0x12, b"UI", PYNETDICOM_IMPLEMENTATION_UID, b"\0"),
            _text(0x13, b"SH", PYNETDICOM_IMPLEMENTATION_VERSION, b" "),
        )
    )
    return _PREAMBLE + struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(elements)) + elements


def store_response(message_id: int, sop_class: str, instance: str, status: int) -> bytes:
    """Command set of a C-STORE-RSP (PS3.7 table 9.3-2), implicit little endian.

    Parameters
    ----------
    message_id
        Of the request.
    sop_class, instance
        As the request named them.
    status
        PS3.4 table B.2-1.
    """
    elements = b"".join(
        (
            _command(0x0002, _padded(sop_class, b"\0")),
            _command(0x0100, struct.pack("<H", _C_STORE_RSP)),
            _command(0x0120, struct.pack("<H", message_id)),
            _command(0x0800, struct.pack("<H", _NO_DATA_SET)),
            _command(0x0900, struct.pack("<H", status)),
            _command(0x1000, _padded(instance, b"\0")),
        )
    )
    return _command(0, struct.pack("<L", len(elements))) + elements


def _padded(text: str, pad: bytes) -> bytes:
    encoded = text.encode("ascii")
    return encoded + pad * (len(encoded) % 2)


def _text(number: int, vr: bytes, text: str, pad: bytes) -> bytes:
    value = _padded(text, pad)
    return struct.pack("<HH2sH", 2, number, vr, len(value)) + value


def _command(number: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0, number, len(value)) + value
