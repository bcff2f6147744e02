"""The private elements that a header keeps, each found by its creator: its block may be any (PS3.5 section 7.8.1)."""

from collections.abc import Iterator
from dataclasses import dataclass

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

KEPT = (GE_SCAN_TIME, PHILIPS_SUV_FACTOR, PHILIPS_ACTIVITY_FACTOR)
"""Those that the values of a PET image cannot be understood without (see ``dicom_io.images.pixels.suv``)."""


def kept_private_tags(header: Dataset) -> frozenset[BaseTag]:
    """Return the tags of the private elements in ``KEPT`` and of their creators."""
    return frozenset(tag for element in KEPT for pair in _places(header, element) for tag in pair)


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
