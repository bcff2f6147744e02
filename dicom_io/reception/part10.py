"""The file of an object (PS3.10): its head written, and as much of its data set read as says what it is."""

import struct
from dataclasses import dataclass
from typing import BinaryIO, cast

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION

from dicom_io.images.attributes import MALFORMED
from dicom_io.images.inflate import MAX_INFLATED_HEADER, InflatingFile
from dicom_io.uids import is_uid

_PREAMBLE = bytes(128) + b"DICM"
_SOP_CLASS, _INSTANCE, _STUDY = 0x00080016, 0x00080018, 0x0020000D
_FIRST_TAG = 0x00080000
_SHORT = frozenset({b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH"})
_SHORT |= {b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_EXPLICIT, _IMPLICIT, _WORD = struct.Struct("<HH2sH"), struct.Struct("<HHL"), struct.Struct("<L")
_UNDEFINED = 0xFFFFFFFF
_LONGEST_VALUE = 65536
"""Values beyond it are passed over, not read: a UID has 64 characters."""


@dataclass(frozen=True)
class Identity:
    """UIDs of a data set, whatever they hold."""

    sop_class: str
    instance: str
    study: str


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


def identify(data_set: BinaryIO, transfer_syntax: str) -> Identity | None:
    """UIDs of a data set, read up to the Study Instance UID and no further; None where it cannot be read.

    Parameters
    ----------
    data_set
        Positioned at its beginning; seekable.
    transfer_syntax
        UID.
    """
    try:
        uids = _identify(data_set, UID(transfer_syntax))
    except (InvalidDicomError, MemoryError, *MALFORMED):
        return None
    return Identity(*(uid.rstrip("\0 ") for uid in uids))


def quick_identity(beginning: bytes, transfer_syntax: str) -> Identity | None:
    """The same from a data set's first bytes, of what nearly every image is: little endian, in order, UIDs near.

    What is out of the ordinary is left to `identify`, which takes several times as long: where this gives an answer,
    which has three valid UIDs, it is the same.
    """
    if transfer_syntax == ImplicitVRLittleEndian:
        step = _implicit_step
    elif UID(transfer_syntax).is_little_endian and transfer_syntax != DeflatedExplicitVRLittleEndian:
        step = _explicit_step
    else:
        return None
    found: dict[int, str] = {}
    at, last = 0, _FIRST_TAG
    while at + 12 <= len(beginning):
        tag, start, end = step(beginning, at)
        if not last < tag <= _STUDY or end > len(beginning):
            return None
        if tag in (_SOP_CLASS, _INSTANCE, _STUDY):
            if step is _explicit_step and beginning[at + 4 : at + 6] != b"UI":
                return None
            found[tag] = beginning[start:end].decode("latin-1").rstrip("\0")
            if not is_uid(found[tag]):
                return None
        if len(found) == 3:
            return Identity(found[_SOP_CLASS], found[_INSTANCE], found[_STUDY])
        at, last = end, tag
    return None


def _explicit_step(data: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start and end of the value of an element; an end beyond all data where it is none."""
    group, element, vr, length = _EXPLICIT.unpack_from(data, at)
    if vr in _SHORT:
        return group << 16 | element, at + 8, at + 8 + length
    length = _WORD.unpack_from(data, at + 8)[0] if vr in _LONG else _UNDEFINED
    return group << 16 | element, at + 12, at + 12 + length


def _implicit_step(data: bytes, at: int) -> tuple[int, int, int]:
    group, element, length = _IMPLICIT.unpack_from(data, at)
    return group << 16 | element, at + 8, at + 8 + length


def _identify(data_set: BinaryIO, syntax: UID) -> list[str]:
    source = data_set
    if syntax == DeflatedExplicitVRLittleEndian:
        source = cast(BinaryIO, InflatingFile(data_set, MAX_INFLATED_HEADER))
    header = read_dataset(
        source, syntax.is_implicit_VR, syntax.is_little_endian, stop_when=_is_beyond, defer_size=_LONGEST_VALUE
    )
    # Values are converted when they are asked for, and can be wrong too.
    return [str(header.get(keyword, "")) for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID")]


def _is_beyond(tag: BaseTag, vr: str | None, length: int) -> bool:
    return int(tag) > _STUDY


def _text(number: int, vr: bytes, text: str, pad: bytes) -> bytes:
    value = text.encode("ascii")
    value += pad * (len(value) % 2)
    return struct.pack("<HH2sH", 2, number, vr, len(value)) + value
