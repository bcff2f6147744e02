"""Attributes of a header that may hold anything: a value that is missing or malformed is ``None``, never an error.

No text that this module gives out or raises quotes a value, since a value may be a patient's name.
"""

import math
import struct
from collections.abc import Sequence
from functools import cache

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.tag import BaseTag, Tag

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


@cache
def tag_of(keyword: str) -> BaseTag:
    """Return the tag of a standard keyword."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword} is not a keyword of the dictionary")
    return Tag(tag)


@cache
def _is_decimal(keyword: str) -> bool:
    return dictionary_VR(tag_of(keyword)) in ("DS", "IS")


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


def uid(header: Dataset, keyword: str) -> str:
    """Return a valid UID (see ``dicom_io.uids.is_uid``), or an empty text."""
    value = text(header, keyword)
    return value if is_uid(value) else ""


def numbers(header: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return exactly ``count`` finite numbers, or ``None``.

    Decimal strings are read from their bytes: for thousands of slices, pydicom's own objects take seconds.
    """
    try:
        element = header.get_item(tag_of(keyword))
        value = None if element is None else element.value
        if isinstance(value, bytes) and _is_decimal(keyword):
            parts: Sequence[object] = value.split(b"\\")
        else:
            value = value_of(header, keyword)
            parts = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
        result = tuple(float(part) for part in parts)  # type: ignore[arg-type]  # anything else is the TypeError caught
    except MALFORMED:
        return None
    return result if len(result) == count and all(map(math.isfinite, result)) else None


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
