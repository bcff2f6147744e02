"""The private elements that a header keeps, each found by its creator: its block may be any (PS3.5 section 7.8.1)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from dicom_io.images.headers.attributes import MALFORMED, decoded

_BLOCKS = range(0x10, 0x100)


@dataclass(frozen=True)
class PrivateElement:
    """An element of a vendor.

    Attributes
    ----------
    name
        For messages.
    group, creator, offset
        Where it stands: group, Private Creator and the last two digits of its number.
    """

    name: str
    group: int
    creator: str
    offset: int


GE_SCAN_TIME = PrivateElement("GE's scan date and time (0009,xx0D)", 0x0009, "GEMS_PETD_01", 0x0D)
PHILIPS_SUV_FACTOR = PrivateElement("Philips' SUV factor (7053,xx00)", 0x7053, "Philips PET Private Group", 0x00)
PHILIPS_ACTIVITY_FACTOR = PrivateElement(
    "Philips' activity factor (7053,xx09)", 0x7053, "Philips PET Private Group", 0x09
)

SIEMENS_B_VALUE = PrivateElement("Siemens' b-value (0019,xx0C)", 0x0019, "SIEMENS MR HEADER", 0x0C)
SIEMENS_DIRECTION = PrivateElement("Siemens' diffusion direction (0019,xx0E)", 0x0019, "SIEMENS MR HEADER", 0x0E)
GE_B_VALUE = PrivateElement("GE's b-value (0043,xx39)", 0x0043, "GEMS_PARM_01", 0x39)
GE_DIRECTION = tuple(
    PrivateElement(f"GE's diffusion direction (0019,xx{offset:02X})", 0x0019, "GEMS_ACQU_01", offset)
    for offset in (0xBB, 0xBC, 0xBD)
)
PHILIPS_B_VALUE = PrivateElement("Philips' b-value (2001,xx03)", 0x2001, "Philips Imaging DD 001", 0x03)
PHILIPS_DIRECTION = tuple(
    PrivateElement(f"Philips' diffusion direction (2005,xx{offset:02X})", 0x2005, "Philips MR Imaging DD 001", offset)
    for offset in (0xB0, 0xB1, 0xB2)
)

KEPT = (
    *(GE_SCAN_TIME, PHILIPS_SUV_FACTOR, PHILIPS_ACTIVITY_FACTOR),
    *(SIEMENS_B_VALUE, SIEMENS_DIRECTION, GE_B_VALUE, *GE_DIRECTION, PHILIPS_B_VALUE, *PHILIPS_DIRECTION),
)
"""Those that the values of a PET image cannot be understood without (see ``dicom_io.images.pixels.suv``), and those
that tell the images of a diffusion series apart (see ``dicom_io.images.splitting``)."""

_KEPT_BY_CREATOR = {
    where: [element for element in KEPT if (element.group, element.creator) == where]
    for where in {(element.group, element.creator) for element in KEPT}
}
_KEPT_GROUPS = frozenset(element.group for element in KEPT)


def kept_private_tags(header: Dataset) -> frozenset[BaseTag]:
    """Return the tags of the private elements in ``KEPT`` and of their creators."""
    found: set[BaseTag] = set()
    for creator in [tag for tag in header.keys() if tag.group in _KEPT_GROUPS and tag.element in _BLOCKS]:  # noqa: SIM118  (a dataset iterates over its elements)
        for element in _KEPT_BY_CREATOR.get((creator.group, _creator(header, creator)), ()):
            tag = Tag(element.group, creator.element << 8 | element.offset)
            if tag in header:
                found |= {creator, tag}
    return frozenset(found)


def private_text(header: Dataset, element: PrivateElement) -> str:
    """Return the value of a private element as stripped text; empty if it is missing, malformed or not its creator's.

    A value of unknown representation (UN) is read as text, which is what the elements in ``KEPT`` are.
    """
    for _, tag in _places(header, element):
        try:
            value = header[tag].value
        except MALFORMED:
            return ""
        return decoded(value) if value is not None else ""
    return ""


def private_numbers(header: Dataset, element: PrivateElement, word: str) -> tuple[float, ...]:
    """Return the finite numbers of a private element; empty if a value is not a number, or the creator another.

    Parameters
    ----------
    header, element
        Where it may stand.
    word
        Format (`struct`) of one number, for a value of unknown representation (UN) that is no decimal text.
    """
    for _, tag in _places(header, element):
        try:
            value = header[tag].value
            parts = _numbers_of(value, word) if isinstance(value, bytes) else _listed(value)
            found = tuple(float(part) for part in parts)
        except MALFORMED:
            return ()
        return found if all(map(isfinite, found)) else ()
    return ()


def _numbers_of(value: bytes, word: str) -> list[float]:
    try:
        return [float(part.strip(b" \0")) for part in value.split(b"\\")]
    except ValueError:
        return [float(found) for (found,) in struct.iter_unpack(f"<{word}", value)]


def _listed(value: object) -> list[float]:
    if isinstance(value, str):
        return [float(part) for part in value.split("\\")]
    return [float(part) for part in value] if hasattr(value, "__iter__") else [float(value)]  # type: ignore[arg-type]  # anything else is one of the errors caught


def _places(header: Dataset, element: PrivateElement) -> Iterator[tuple[BaseTag, BaseTag]]:
    """Yield the tags of creator and element, where the header has both."""
    for creator in [tag for tag in header.keys() if tag.group == element.group and tag.element in _BLOCKS]:  # noqa: SIM118  (a dataset iterates over its elements)
        tag = Tag(element.group, creator.element << 8 | element.offset)
        if tag in header and _creator(header, creator) == element.creator:
            yield creator, tag


def _creator(header: Dataset, tag: BaseTag) -> str:
    try:
        return decoded(header.get_item(tag).value)
    except MALFORMED:
        return ""
