"""The file of an object (PS3.10): its head written, and its data set read up to the attributes that identify it."""

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from pydicom.filereader import read_dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_io.elements import LONG, ElementsError, Walk, source_of
from dicom_io.images.headers.attributes import MALFORMED, text
from dicom_io.images.headers.character_set import settle_character_set
from dicom_io.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_PREAMBLE = bytes(128) + b"DICM"
_META_LENGTH = struct.Struct("<HH2sHL")
_LONGEST_META = 65536
_SYNTAX = 0x00020010
_SOP_CLASS, _INSTANCE, _STUDY = 0x00080016, 0x00080018, 0x0020000D
_IMPLICIT = struct.Struct("<HHL")
_CHARACTER_SET, _NAME, _PATIENT = 0x00080005, 0x00100010, 0x00100020
_BINARY = LONG - {b"UC", b"UN", b"UR", b"UT"} | {b"AT", b"FD", b"FL", b"SL", b"SS", b"UL", b"US"}
"""VRs under which a UID is no text; under any other, those who read what is stored find it."""

_LONGEST_TEXT = 1024
"""A name has at most three groups of 64 characters."""


@dataclass(frozen=True)
class Identity:
    """UIDs of a data set, as they are, valid or not."""

    sop_class: str
    instance: str
    study: str


def file_head(sop_class: str, instance: str, transfer_syntax: str) -> bytes:
    """Encode preamble and file meta information (PS3.10 section 7.1), which a data set in the transfer syntax follows.

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
            _text(0x12, b"UI", IMPLEMENTATION_CLASS_UID, b"\0"),
            _text(0x13, b"SH", IMPLEMENTATION_VERSION_NAME, b" "),
        )
    )
    return _PREAMBLE + struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(elements)) + elements


def identify(data_set: BinaryIO, transfer_syntax: str) -> Identity:
    """Read the UIDs of a data set, up to the Study Instance UID and no further; empty where they are missing.

    Parameters
    ----------
    data_set
        Positioned at its beginning; seekable.
    transfer_syntax
        UID.

    Raises
    ------
    ElementsError
        If it is damaged before, or beyond a bound of `dicom_io.elements`.
    OSError
        If it cannot be read.
    """
    found = dict.fromkeys((_SOP_CLASS, _INSTANCE, _STUDY), "")
    walk = Walk(source_of(data_set, transfer_syntax), transfer_syntax)
    for depth, tag, vr, _ in walk:
        if depth == 0 and tag > _STUDY:
            break
        if depth == 0 and tag in found:
            found[tag] = "" if vr in _BINARY else walk.uid()
    return Identity(*found.values())


def patient_of(file: BinaryIO) -> tuple[str, str]:
    """Read Patient ID and Patient's Name from a whole file with its head; empty if they are missing or damaged.

    Parameters
    ----------
    file
        Positioned at its beginning; seekable.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    try:
        syntax = read_head(file)
        walk = Walk(source_of(file, syntax), syntax)
        found = b""
        for depth, tag, _, _ in walk:
            if depth == 0 and tag > _PATIENT:
                break
            if depth == 0 and tag in (_CHARACTER_SET, _NAME, _PATIENT):
                value = walk.value(_LONGEST_TEXT) or b""
                found += _IMPLICIT.pack(tag >> 16, tag & 0xFFFF, len(value)) + value
    except ElementsError:
        return "", ""
    try:
        header = read_dataset(BytesIO(found), is_implicit_VR=True, is_little_endian=True)
        settle_character_set(header)
        return text(header, "PatientID"), text(header, "PatientName")
    except MALFORMED:
        return "", ""


def read_head(file: BinaryIO) -> str:
    """Read the head of a file, up to its data set, and return the transfer syntax.

    Raises
    ------
    ElementsError
        If it begins in another way than `file_head` does.
    OSError
        If it cannot be read.
    """
    start = file.read(len(_PREAMBLE) + _META_LENGTH.size)[128:]
    if len(start) < 4 + _META_LENGTH.size or start[:4] != b"DICM":
        raise ElementsError("damaged")
    *kind, length = _META_LENGTH.unpack(start[4:])
    if kind != [2, 0, b"UL", 4] or length > _LONGEST_META:
        raise ElementsError("damaged")
    walk = Walk(source_of(BytesIO(file.read(length)), ExplicitVRLittleEndian), ExplicitVRLittleEndian)
    for _, tag, _, _ in walk:
        if tag == _SYNTAX:
            return walk.uid()
    return ""


def _text(number: int, vr: bytes, text: str, pad: bytes) -> bytes:
    value = text.encode("ascii")
    value += pad * (len(value) % 2)
    return struct.pack("<HH2sH", 2, number, vr, len(value)) + value
