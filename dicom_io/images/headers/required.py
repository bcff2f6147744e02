"""Attributes that the standard requires of an image, and that readers take at their usual value where they are missing.

Others that it requires are not taken at any value: an image without them is refused where they are read.
"""

from collections.abc import Iterable

from pydicom.dataset import Dataset

from dicom_io.images.headers.attributes import tag_of
from dicom_io.images.headers.instance import Instance

USUAL = {
    "ImageType": "an image that is original and no map",
    "SamplesPerPixel": "1",
    "HighBit": "one less than Bits Stored",
    "NumberOfFrames": "1",
    "TransferSyntaxUID": "Implicit VR Little Endian",
}
"""The values taken, by keyword; Transfer Syntax UID is one of the file's meta information."""


def missing_attributes(instances: Iterable[Instance]) -> list[str]:
    """Return the keywords of `USUAL` that some image lacks, or has without a value."""
    found: dict[str, None] = {}
    for instance in instances:
        header = instance.header
        found |= dict.fromkeys(keyword for keyword in _required(header) if _lacks(header, keyword))
        if _lacks(header.file_meta, "TransferSyntaxUID"):
            found["TransferSyntaxUID"] = None
    return [keyword for keyword in USUAL if keyword in found]


def _required(header: Dataset) -> tuple[str, ...]:
    always = ("ImageType", "SamplesPerPixel", "HighBit")
    is_enhanced = tag_of("PerFrameFunctionalGroupsSequence") in header
    return (*always, "NumberOfFrames") if is_enhanced else always


def _lacks(header: Dataset, keyword: str) -> bool:
    element = header.get_item(tag_of(keyword))  # as it lies in the file: thousands of images are looked at
    return element is None or element.value in (None, "", b"")
