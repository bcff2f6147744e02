"""Per-frame functional groups of a SEG: a frame's segment, position and source image.

An object of 400 slices and 117 segments has 8,000 frames, each with some twenty attributes in nested items. Built as
pydicom's objects and written one by one they take several times as long as all of the pixels. Few of them differ, so
each part that can occur is encoded once, by pydicom, and the frames are put together from those bytes. A reader
of the attribute gets pydicom's objects as from a file.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.tag import Tag

from dicom_io.results.seg.frames import FrameKey
from dicom_io.results.source_attributes import decimal_strings

PER_FRAME_GROUPS = Tag("PerFrameFunctionalGroupsSequence")
_ITEM = b"\xfe\xff\x00\xe0"


@dataclass(frozen=True)
class SourceSlice:
    """The source image of one slice: its references and its position as the source has it (LPS mm)."""

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None
    position: tuple[float, ...]


def functional_groups(keys: Sequence[FrameKey], sources: Sequence[SourceSlice]) -> RawDataElement:
    """Encode the per-frame functional groups: dimension index, plane position, source image, segment.

    The second dimension (the first in a LABELMAP) counts the positions that occur, ascending along the normal.

    Returns
    -------
    RawDataElement
        ``PerFrameFunctionalGroupsSequence``, encoded in explicit VR little endian.
    """
    used = sorted({key.slice_index for key in keys})
    ordinal = {index: number for number, index in enumerate(used, start=1)}
    positions = {index: _position(sources[index]) for index in used}
    derivations = _derivations(sources, used)
    segments = {number: _segment(number) for number in {key.segment for key in keys}}
    parts = []
    for key in keys:
        place = ordinal[key.slice_index]
        index = (place,) if key.segment is None else (key.segment, place)
        # In the order of their tags.
        group = derivations[key.slice_index] + _content(index) + positions[key.slice_index] + segments[key.segment]
        parts += [_ITEM, struct.pack("<I", len(group)), group]
    value = b"".join(parts)
    return RawDataElement(PER_FRAME_GROUPS, "SQ", len(value), value, 0, False, True)


def _content(dimension_index: tuple[int, ...]) -> bytes:
    """Encode ``FrameContentSequence`` with ``DimensionIndexValues``, which differs between any two frames."""
    values = struct.pack(f"<{len(dimension_index)}I", *dimension_index)
    return _sequence_of(0x9111, struct.pack("<HH2sH", 0x0020, 0x9157, b"UL", len(values)) + values)


def _sequence_of(element: int, content: bytes) -> bytes:
    """Encode a sequence of group 0020 with one item."""
    item = _ITEM + struct.pack("<I", len(content)) + content
    return struct.pack("<HH2sHI", 0x0020, element, b"SQ", 0, len(item)) + item


def _segment(number: int | None) -> bytes:
    if number is None:
        return b""
    return _sequence("SegmentIdentificationSequence", _item(ReferencedSegmentNumber=number))


def _position(source: SourceSlice) -> bytes:
    """Encode ``PlanePositionSequence`` with ``ImagePositionPatient``, which differs between any two slices."""
    text = "\\".join(map(str, decimal_strings(source.position))).encode("ascii")
    text += b" " * (len(text) % 2)
    return _sequence_of(0x9113, struct.pack("<HH2sH", 0x0020, 0x0032, b"DS", len(text)) + text)


def _sequence(keyword: str, item: Dataset) -> bytes:
    """Encode a sequence of one item as an element."""
    parent = Dataset()
    parent.add(DataElement(Tag(keyword), "SQ", [item]))
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, parent)
    return buffer.getvalue()


def reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Build an item that names a SOP instance (PS3.3 table 10-11)."""
    return _item(ReferencedSOPClassUID=sop_class_uid, ReferencedSOPInstanceUID=sop_instance_uid)


def _derivations(sources: Sequence[SourceSlice], used: Sequence[int]) -> dict[int, bytes]:
    """Encode the derivation of each slice: pydicom does it once for all slices whose UIDs are equally long.

    The others are that one with their UID in its place, so hundreds of nested items need not be built.
    """
    made: dict[tuple[str, int, int | None], tuple[bytes, bytes]] = {}
    result = {}
    for index in used:
        source = sources[index]
        uid = source.sop_instance_uid.encode("ascii")
        alike = source.sop_class_uid, len(uid), source.frame_number
        if alike not in made:
            made[alike] = uid, _sequence("DerivationImageSequence", _derivation(source))
        place, encoded = made[alike]
        if encoded.count(place) != 1:
            encoded = _sequence("DerivationImageSequence", _derivation(source))
        result[index] = encoded.replace(place, uid)
    return result


def _derivation(source: SourceSlice) -> Dataset:
    image = reference(source.sop_class_uid, source.sop_instance_uid)
    if source.frame_number is not None:
        image.ReferencedFrameNumber = source.frame_number
    image.PurposeOfReferenceCodeSequence = [_code(codes.DCM.SourceImageForImageProcessingOperation)]
    image.SpatialLocationsPreserved = "YES"
    return _item(DerivationCodeSequence=[_code(codes.cid7203.SegmentationImageDerivation)], SourceImageSequence=[image])


def _code(code: Code) -> Dataset:
    return _item(CodeValue=code.value, CodingSchemeDesignator=code.scheme_designator, CodeMeaning=code.meaning)


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item
