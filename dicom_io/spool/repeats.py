"""What an image that came again under one SOP Instance UID has to do with the one that is here."""

from enum import StrEnum
from filecmp import cmp
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicom_io.images.attributes import MALFORMED
from dicom_io.images.instance import BadDicomError, Instance, NotDicomError, read_instance
from dicom_io.images.pixels import same_pixels

IMAGE_KEYWORDS = (
    *("SOPClassUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    *("GantryDetectorTilt", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "BitsStored"),
    *("PixelRepresentation", "PhotometricInterpretation", "PixelPaddingValue"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
"""Attributes that say which image it is, beside its pixels; all others describe patient, study and acquisition."""

_IMAGE_TAGS = frozenset(tag_for_keyword(keyword) for keyword in IMAGE_KEYWORDS)
_CHUNK = 1 << 20


class Relation(StrEnum):
    """How a newer file differs from an older one."""

    SAME = "same"
    DESCRIPTION = "description"
    IMAGE = "image"


def compare(older: Path, newer: Path) -> Relation:
    """Compare two files of one SOP Instance UID.

    Parameters
    ----------
    older, newer
        The files. What cannot be read as DICOM is another image unless its bytes are the same.

    Returns
    -------
    Relation
        ``same`` for the same bytes, or the same attributes and pixels in another transfer syntax (private attributes,
        of which not every syntax tells the type, are then left out); ``description`` where what differs is neither
        geometry nor pixels; otherwise ``image``.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    if cmp(older, newer, shallow=False):
        return Relation.SAME
    try:
        first, second = read_instance(older), read_instance(newer)
        changed = _changed_tags(first.header, second.header)
    except (NotDicomError, BadDicomError, *MALFORMED):
        return Relation.IMAGE
    if changed & _IMAGE_TAGS or not (_same_pixel_bytes(first, second) or same_pixels(first, second)):
        return Relation.IMAGE
    if not changed and first.transfer_syntax != second.transfer_syntax:
        return Relation.SAME
    return Relation.DESCRIPTION


def _changed_tags(first: Dataset, second: Dataset) -> set[int]:
    return {
        int(tag)
        for tag in set(first.keys()) | set(second.keys())
        if tag not in first or tag not in second or first[tag].value != second[tag].value
    }


def _same_pixel_bytes(first: Instance, second: Instance) -> bool:
    """Whether the pixels are the same without decoding them, as they are when only a header was corrected."""
    if first.transfer_syntax != second.transfer_syntax or first.transfer_syntax == DeflatedExplicitVRLittleEndian:
        return False
    if first.pixel_offset is None or second.pixel_offset is None:
        return first.pixel_offset is second.pixel_offset
    with first.path.open("rb") as one, second.path.open("rb") as other:
        one.seek(first.pixel_offset)
        other.seek(second.pixel_offset)
        while (content := one.read(_CHUNK)) == other.read(_CHUNK):
            if not content:
                return True
    return False
