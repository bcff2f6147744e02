"""The source images of a SEG, slice by slice: instance, frame and position."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from pydicom.dataset import Dataset

from core.volume import Geometry, Volume
from dicom_io.images.headers.attributes import first_item, items, numbers
from dicom_io.images.headers.instance import Instance
from dicom_io.results.seg.functional_groups import SourceSlice, reference

SLICE_TOLERANCE = 0.25
"""Largest distance of an image from its slice of the grid along the normal, in gaps.

It is above the tolerance of ``dicom_io.images.grid.geometry`` (0.1), and far below the distance to a neighbour.
"""
IN_PLANE_TOLERANCE_MM = 0.25
"""Largest distance of an image from its place within the plane.

``dicom_io.images.grid.geometry`` tolerates 0.2 mm.
"""


def grid_slices(positions: ArrayLike, grid: Geometry) -> list[int]:
    """Find the slice of a grid at each position.

    Parameters
    ----------
    positions
        ``(n, 3)``, LPS mm of the centres of first voxels.
    grid
        The grid, or the places of an irregular stack's slices.

    Raises
    ------
    ValueError
        If no slice lies at a position.
    """
    indices = grid.lps_to_index(np.asarray(positions, dtype=np.float64).reshape(-1, 3))
    nearest = indices[:, 0].round()
    along = float(np.abs(indices[:, 0] - nearest).max())
    within = float(np.abs(indices[:, 1:] * grid.spacing[1:]).max())
    if along > SLICE_TOLERANCE or within > IN_PLANE_TOLERANCE_MM:
        raise ValueError(f"an image lies {along:.2f} gaps and {within:.2f} mm off the grid")
    if nearest.min() < 0 or nearest.max() >= grid.shape[0]:
        raise ValueError("an image lies outside the grid")
    return [int(value) for value in nearest]


def headers_by_uid(sources: Sequence[Instance]) -> dict[str, Dataset]:
    """Return the instances' headers by SOP Instance UID, each unpacked once."""
    return {str(header.SOPInstanceUID): header for header in (source.header for source in sources)}


def source_slices(volume: Volume, headers: Mapping[str, Dataset]) -> list[SourceSlice]:
    """Return reference and position of every slice of a volume.

    Raises
    ------
    ValueError
        If a slice's instance is not among the headers, or its position is not the volume's.
    """
    result = []
    for index, (uid, frame) in enumerate(zip(volume.sop_instance_uids, volume.frame_numbers, strict=True)):
        if uid not in headers:
            raise ValueError(f"slice {index}: its instance is not among the sources")
        header = headers[uid]
        position = frame_numbers(header, frame, "PlanePositionSequence", "ImagePositionPatient", 3)
        if position is None or grid_slices(position, volume.geometry) != [index]:
            raise ValueError(f"slice {index}: its instance has another position")
        multi = "PerFrameFunctionalGroupsSequence" in header
        result.append(SourceSlice(str(header.SOPClassUID), uid, frame if multi else None, tuple(position)))
    return result


def functional_group(header: Dataset, frame: int, keyword: str) -> Dataset | None:
    """Return the first item of a functional group of a frame (1-based), its own or shared; ``None`` without one."""
    own, shared = items(header, "PerFrameFunctionalGroupsSequence"), items(header, "SharedFunctionalGroupsSequence")
    for groups in (own[frame - 1 : frame], shared[:1]):
        found = first_item(groups[0], keyword) if groups else None
        if found is not None:
            return found
    return None


def frame_numbers(header: Dataset, frame: int, group: str, keyword: str, count: int) -> tuple[float, ...] | None:
    """Read numbers that describe an image from its header, or in a multi-frame one from its functional group."""
    multi = "PerFrameFunctionalGroupsSequence" in header
    place = functional_group(header, frame, group) if multi else header
    return None if place is None else numbers(place, keyword, count)


def add_references(seg: Dataset, volume: Volume, headers: Mapping[str, Dataset]) -> None:
    """Name every source instance in ReferencedSeriesSequence and SourceImageSequence, channel 0's slices first."""
    ordered = dict.fromkeys((*volume.sop_instance_uids, *headers))
    series: dict[str, list[Dataset]] = {}
    for uid in ordered:
        header = headers[uid]
        series.setdefault(str(header.SeriesInstanceUID), []).append(reference(str(header.SOPClassUID), uid))
    seg.ReferencedSeriesSequence = []
    for uid, references in series.items():
        item = Dataset()
        item.SeriesInstanceUID = uid
        item.ReferencedInstanceSequence = references
        seg.ReferencedSeriesSequence.append(item)
    seg.SourceImageSequence = [
        reference(i.ReferencedSOPClassUID, i.ReferencedSOPInstanceUID) for some in series.values() for i in some
    ]
