"""The source images of a SEG, slice by slice: which instance, which frame, and where it lies."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset
from pydicom.valuerep import DSfloat

from core.volume import Volume
from dicom_io.inherited import decimal_strings
from dicom_io.seg_frames import SourceSlice, reference

if TYPE_CHECKING:
    from dicom_io.study import Instance

POSITION_TOLERANCE = 0.25
"""Largest distance of a source image from its slice of the grid, as a part of the smallest voxel spacing.

Far above what the volume's own tolerances let through, far below the distance to a neighbour.
"""


def source_slices(volume: Volume, sources: Sequence["Instance"]) -> list[SourceSlice]:
    """Reference and position of every slice of a volume.

    Raises
    ------
    ValueError
        If a slice's instance is not among ``sources`` or does not lie where the volume says.
    """
    headers = {str(source.header.SOPInstanceUID): source.header for source in sources}
    result = []
    for index, (uid, frame) in enumerate(zip(volume.sop_instance_uids, volume.frame_numbers, strict=True)):
        if uid not in headers:
            raise ValueError(f"slice {index}: its instance is not among the sources")
        header = headers[uid]
        position = _position(header, frame)
        expected = volume.geometry.index_to_lps((index, 0, 0))
        if np.abs(np.array(position, dtype=float) - expected).max() > POSITION_TOLERANCE * min(volume.geometry.spacing):
            raise ValueError(f"slice {index}: its instance lies at {position}, the volume says {expected.tolist()}")
        multi = "PerFrameFunctionalGroupsSequence" in header
        result.append(SourceSlice(str(header.SOPClassUID), uid, frame if multi else None, position))
    return result


def functional_group(header: Dataset, frame: int, keyword: str) -> Dataset | None:
    """First item of a functional group of a frame (1-based), shared or its own; ``None`` where there is none."""
    for groups, index in (("PerFrameFunctionalGroupsSequence", frame - 1), ("SharedFunctionalGroupsSequence", 0)):
        if groups in header and header[groups].value[index].get(keyword):
            item: Dataset = header[groups].value[index][keyword].value[0]
            return item
    return None


def attribute(header: Dataset, frame: int, group: str, keyword: str) -> object | None:
    """Value of an attribute of the image, of the frame's functional group in a multi-frame one."""
    place = functional_group(header, frame, group) if "PerFrameFunctionalGroupsSequence" in header else header
    value: object | None = place.get(keyword) if place is not None else None
    return value


def _position(header: Dataset, frame: int) -> tuple[DSfloat, ...]:
    value = attribute(header, frame, "PlanePositionSequence", "ImagePositionPatient")
    if not value:
        raise ValueError("a source image has no position")
    return tuple(decimal_strings(value))  # type: ignore[arg-type]  # pydicom types values as Any behind object


def add_references(seg: Dataset, volume: Volume, sources: Sequence["Instance"]) -> None:
    """Name every source instance in ReferencedSeriesSequence and SourceImageSequence, channel 0's slices first."""
    headers = {str(source.header.SOPInstanceUID): source.header for source in sources}
    ordered = dict.fromkeys((*volume.sop_instance_uids, *headers))
    series: dict[str, list[Dataset]] = {}
    for uid in ordered:
        header = headers[uid]
        series.setdefault(str(header.SeriesInstanceUID), []).append(reference(str(header.SOPClassUID), uid))
    seg.ReferencedSeriesSequence = []
    for uid, items in series.items():
        item = Dataset()
        item.SeriesInstanceUID = uid
        item.ReferencedInstanceSequence = items
        seg.ReferencedSeriesSequence.append(item)
    seg.SourceImageSequence = [
        reference(i.ReferencedSOPClassUID, i.ReferencedSOPInstanceUID) for items in series.values() for i in items
    ]
