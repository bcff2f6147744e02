"""The frames of a SEG: which there are, their pixels, and their functional groups.

Empty frames of a BINARY object are left out: 118 labels of 3000 slices would be 11 GB of zeros. What broke viewers when
frames were left out (FIELD-NOTES 1) was counting frames instead of reading where they lie; here every frame names its
position and its source image. A LABELMAP object has a frame for every slice, as one costs next to nothing there.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from core.label_map import LabelMap
from dicom_io.results.inherited import decimal_strings


@dataclass(frozen=True)
class SourceSlice:
    """The source image of one slice: its references and its position as the source has it (LPS mm)."""

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None
    position: tuple[float, ...]


@dataclass(frozen=True)
class FrameKey:
    """One frame: 0-based slice, and the segment's number (``None`` in a LABELMAP)."""

    slice_index: int
    segment: int | None


def slices_by_value(label_map: LabelMap) -> dict[int, list[int]]:
    """The slices in which each label has voxels, by the label's value; labels without any are not listed."""
    result: dict[int, list[int]] = {}
    known = {spec.value for spec in label_map.labels}
    for index, plane in enumerate(label_map.array):
        for value in np.flatnonzero(np.bincount(plane.ravel())):
            if value:
                result.setdefault(int(value), []).append(index)
    if not result.keys() <= known:
        raise ValueError(f"the mask holds values without a label: {sorted(result.keys() - known)}")
    return result


def binary_frames(
    label_map: LabelMap, numbers: dict[int, int], slices: dict[int, list[int]]
) -> tuple[list[FrameKey], bytes]:
    """Frames and packed pixels of a BINARY object, segment by segment.

    Parameters
    ----------
    label_map
        The mask.
    numbers
        Segment number of each label's value, ascending.
    slices
        For each value the slices that get a frame.
    """
    array = label_map.array
    keys = [FrameKey(index, number) for value, number in numbers.items() for index in slices[value]]
    masks = (array[index] == value for value in numbers for index in slices[value])
    return keys, pack_bits(masks)


def pack_bits(masks: Iterable[NDArray[np.bool_]]) -> bytes:
    """Pack boolean frames into 1-bit pixels, without padding between frames (PS3.5 section 8.1.1, D.1)."""
    parts: list[bytes] = []
    rest = np.zeros(0, dtype=np.bool_)
    for mask in masks:
        bits = np.concatenate([rest, mask.ravel()]) if rest.size else mask.ravel()
        whole = bits.size - bits.size % 8
        parts.append(np.packbits(bits[:whole], bitorder="little").tobytes())
        rest = bits[whole:]
    if rest.size:
        parts.append(np.packbits(rest, bitorder="little").tobytes())
    packed = b"".join(parts)
    return packed + b"\0" * (len(packed) % 2)


def labelmap_planes(
    label_map: LabelMap, numbers: dict[int, int], dtype: type[np.uint8] | type[np.uint16]
) -> Iterator[NDArray[np.uint8] | NDArray[np.uint16]]:
    """Every slice of the mask with segment numbers in place of label values."""
    table = np.zeros(int(label_map.array.max()) + 1, dtype=dtype)
    for value, number in numbers.items():
        if value < table.size:
            table[value] = number
    for plane in label_map.array:
        yield table[plane]


def functional_groups(keys: Sequence[FrameKey], sources: Sequence[SourceSlice]) -> list[Dataset]:
    """Per-frame functional groups: dimension index, plane position, source image, segment.

    The second dimension (the first in a LABELMAP) counts the positions that occur, ascending along the normal.
    """
    used = sorted({key.slice_index for key in keys})
    ordinal = {index: number for number, index in enumerate(used, start=1)}
    positions = {index: _item(ImagePositionPatient=decimal_strings(sources[index].position)) for index in used}
    derivations = {index: _derivation(sources[index]) for index in used}
    segments = {key.segment: _item(ReferencedSegmentNumber=key.segment) for key in keys if key.segment is not None}
    groups = []
    for key in keys:
        place = [ordinal[key.slice_index]]
        content = Dataset()
        content.add(DataElement(0x00209157, "UL", place if key.segment is None else [key.segment, *place]))
        group = Dataset()
        group.add(DataElement(0x00089124, "SQ", [derivations[key.slice_index]]))
        group.add(DataElement(0x00209111, "SQ", [content]))
        group.add(DataElement(0x00209113, "SQ", [positions[key.slice_index]]))
        if key.segment is not None:
            group.add(DataElement(0x0062000A, "SQ", [segments[key.segment]]))
        groups.append(group)
    return groups


def reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """An item that names a SOP instance (PS3.3 table 10-11)."""
    return _item(ReferencedSOPClassUID=sop_class_uid, ReferencedSOPInstanceUID=sop_instance_uid)


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
