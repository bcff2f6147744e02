"""Attributes of a header that may hold anything: a value that is missing or malformed is ``None``, never an error.

No text that this module gives out or raises quotes a value, since a value may be a patient's name.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from functools import cache

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import VR

from dicom_io.uids import is_uid

# pydicom's warnings about malformed values quote them. What matters here is checked here.
config.settings.reading_validation_mode = config.IGNORE

MALFORMED = (
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
    NotImplementedError,
    EOFError,
    OSError,
    RecursionError,
    struct.error,
    BytesLengthException,
)
"""Errors that pydicom raises when it converts a malformed element; OSError means that a sequence ends early."""

_DECIMALS = frozenset({VR.DS, VR.IS})
_FLOATS: Mapping[str, str] = {VR.OD: "d", VR.OF: "f"}
_WORDS: Mapping[str, str] = {**_FLOATS, VR.OL: "L", VR.OV: "Q", VR.OW: "H"}
"""Formats of the numbers that pydicom leaves as bytes."""

_BYTES = frozenset({*_WORDS, VR.OB, VR.UN})


@cache
def tag_of(keyword: str) -> BaseTag:
    """Return the tag of a standard keyword."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword} is not a keyword of the dictionary")
    return Tag(tag)


@cache
def _is_decimal(keyword: str) -> bool:
    return dictionary_VR(tag_of(keyword)) in _DECIMALS


def value_of(header: Dataset, keyword: str) -> object | None:
    """Return a value as pydicom converts it; ``None`` where it is missing, empty or malformed."""
    try:
        element = header.get(tag_of(keyword))
    except MALFORMED:
        return None
    value = element.value if isinstance(element, DataElement) else None
    return None if value is None or value == "" else value


def text(header: Dataset, keyword: str) -> str:
    """Return a value as stripped text, several values joined by a backslash; empty where it is missing."""
    return "\\".join(texts(header, keyword))


def texts(header: Dataset, keyword: str) -> tuple[str, ...]:
    """Return values as stripped texts."""
    value = value_of(header, keyword)
    if value is None:
        return ()
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        value = [value]
    return tuple(str(part).strip(" \0") for part in value)


def decoded(value: object) -> str:
    """Return a value of one text, or the bytes of an unknown representation, as stripped text."""
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value)).strip(" \0")


def uid(header: Dataset, keyword: str) -> str:
    """Return a valid UID (see ``dicom_io.uids.is_uid``), or an empty text."""
    value = text(header, keyword)
    return value if is_uid(value) else ""


def numbers(header: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return exactly ``count`` finite numbers, or ``None``.

    Decimal strings are read from their bytes, padded by blanks or NUL: for thousands of slices, pydicom's own objects
    take seconds. All else is read as pydicom reads it, and beyond that where its meaning is plain: decimals under
    another VR of text, and numbers under a VR of bytes, which pydicom leaves as they are.
    """
    try:
        element = header.get_item(tag_of(keyword))
    except MALFORMED:
        return None
    if element is None:
        return None
    found = None
    if isinstance(element, RawDataElement) and isinstance(element.value, bytes):
        found = _numbers_in(element.value, element.VR, element.is_little_endian, is_decimal=_is_decimal(keyword))
    if found is None:
        found = _converted_numbers(header, keyword)
    return found if found is not None and len(found) == count and all(map(math.isfinite, found)) else None


def _numbers_in(value: bytes, vr: str | None, is_little_endian: bool, *, is_decimal: bool) -> tuple[float, ...] | None:
    """Read numbers from an element's bytes; ``None`` leaves them to pydicom.

    Text comes first: no number that a header states as double has digits for bytes (it would be below 1e-30).
    """
    try:
        if vr in _DECIMALS or (is_decimal and (vr is None or vr in _BYTES)):
            return tuple(float(part.strip(b" \0")) for part in value.split(b"\\"))
    except ValueError:
        pass
    if vr is None or vr not in (_FLOATS if is_decimal else _WORDS):
        return None
    word = struct.Struct(("<" if is_little_endian else ">") + _WORDS[vr])
    return None if len(value) % word.size else tuple(float(found) for (found,) in word.iter_unpack(value))


def _converted_numbers(header: Dataset, keyword: str) -> tuple[float, ...] | None:
    value = value_of(header, keyword)
    if isinstance(value, bytes):
        is_little_endian = header.original_encoding[1] is not False
        vr = header[tag_of(keyword)].VR
        return _numbers_in(value, vr, is_little_endian, is_decimal=_is_decimal(keyword))
    if isinstance(value, str):
        value = value.split("\\")
    parts: Sequence[object] = value if isinstance(value, Sequence) else [value]
    try:
        return tuple(float(part.strip(" \0") if isinstance(part, str) else part) for part in parts)  # type: ignore[arg-type]  # anything else is the TypeError caught
    except MALFORMED:
        return None


def number(header: Dataset, keyword: str) -> float | None:
    """Return one finite number, or ``None``."""
    found = numbers(header, keyword, 1)
    return None if found is None else found[0]


def integer(header: Dataset, keyword: str) -> int | None:
    """Return one whole number, or ``None``."""
    found = number(header, keyword)
    return int(found) if found is not None and found == int(found) else None


def items(header: Dataset, keyword: str) -> Sequence[Dataset]:
    """Return the items of a sequence; empty if it is missing or malformed."""
    value = value_of(header, keyword)
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def macro(header: Dataset, places: tuple[Dataset, ...], sequence: str) -> Dataset:
    """Return the item of a functional group from the first place that has it; for classic images the header itself.

    Parameters
    ----------
    header
        Of the instance.
    places
        Functional groups of a frame, its own before the shared ones; none for a classic image.
    sequence
        Keyword of the group. Where no place has it, the result is empty.
    """
    if not places:
        return header
    for place in places:
        found = first_item(place, sequence)
        if found is not None:
            return found
    return Dataset()


def first_item(header: Dataset, keyword: str) -> Dataset | None:
    """Return the first item of a sequence, or ``None``."""
    found = items(header, keyword)
    return found[0] if found and isinstance(found[0], Dataset) else None
