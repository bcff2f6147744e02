"""Two copies of one image, which carry one SOP Instance UID: which words differ, and which copy counts."""

from collections.abc import Iterable

from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from dicom_io.images.headers.attributes import MALFORMED, text
from dicom_io.images.headers.instants import instant_of

IMAGE_KEYWORDS = (
    *("SOPClassUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    *("GantryDetectorTilt", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "BitsStored"),
    *("HighBit", "PixelRepresentation", "PhotometricInterpretation"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "Units"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
"""Attributes that say which image it is, beside its pixels; all others describe patient, study and acquisition."""

IMAGE_TAGS = frozenset(tag_for_keyword(keyword) for keyword in IMAGE_KEYWORDS)

LONGEST_LIST = 12
"""Keywords that are named; of more, the number is."""


def changed_tags(first: Dataset, second: Dataset) -> set[int]:
    """Return the tags of the attributes that one header has not, or not with the other's value; group lengths apart."""
    tags = {tag for tag in (*first.keys(), *second.keys()) if tag.element}
    return {int(tag) for tag in tags if not is_same_value(first, second, tag)}


def is_same_value(first: Dataset, second: Dataset, tag: int) -> bool:
    """Return whether both headers have an attribute with one value, whatever its encoding."""
    try:
        one, other = first.get_item(tag), second.get_item(tag)
        if isinstance(one, RawDataElement) and isinstance(other, RawDataElement) and _encoding(one) == _encoding(other):
            return True
        return tag in first and tag in second and bool(first[tag].value == second[tag].value)
    except MALFORMED:
        return False


def _encoding(element: RawDataElement) -> tuple[str | None, bytes | None, bool]:
    return element.VR, element.value, element.is_little_endian


def keywords_of(tags: Iterable[int]) -> str:
    """Name attributes by their keywords, never their values, for a warning."""
    names = [keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in sorted(tags)]
    more = f" and {len(names) - LONGEST_LIST} more" if len(names) > LONGEST_LIST else ""
    return ", ".join(names[:LONGEST_LIST]) + more


def counts_more(newer: Dataset, older: Dataset) -> bool:
    """Return whether the copy that came later gives the header: unless the older one was created later.

    Instance Creation Date and Time decide where both copies state them and they differ (PS3.3 C.12.1).
    """
    dates, times = ([text(header, f"InstanceCreation{part}") for header in (newer, older)] for part in ("Date", "Time"))
    # dates alone tell where they differ: a copy may state no time
    for clocks in (("00", "00"), times):
        new, old = (instant_of(date, clock, None) for date, clock in zip(dates, clocks, strict=True))
        if new is None or old is None:
            return True
        if new.moment != old.moment:
            return new.moment > old.moment
    return True
