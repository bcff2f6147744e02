"""SEG objects of any origin, read; and a written one compared with the mask that it was made from.

Pixels are unpacked here with numpy, from the bytes of the file and not by the library that wrote them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder

from core.errors import ReasonCode, StudyRejected
from core.irregular_stack import IrregularStack
from core.label_map import LabelMap
from core.model_config import Code
from core.volume import Geometry
from dicom_io.images.grid.geometry import orthonormal_direction
from dicom_io.images.headers.attributes import MALFORMED
from dicom_io.results.seg.sources import (
    IN_PLANE_TOLERANCE_MM,
    SLICE_TOLERANCE,
    functional_group,
    grid_slices,
)

DIRECTION_TOLERANCE = 2e-3
"""Largest difference of direction cosines: a grid's are orthonormal, a source's may be rounded to three digits."""


@dataclass(frozen=True)
class Segment:
    """The description of one segment."""

    number: int
    label: str
    category: Code
    type: Code
    algorithm_name: str


@dataclass(frozen=True)
class Frame:
    """The segment and the position of one frame.

    Attributes
    ----------
    segment
        Number of its segment; ``None`` in a LABELMAP, whose pixels are the numbers.
    position
        LPS mm of the centre of its first voxel.
    """

    segment: int | None
    position: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class SegContent:
    """A SEG object as read: its segments, frames and grid; pixels are unpacked on demand."""

    dataset: Dataset
    segments: tuple[Segment, ...]
    frames: tuple[Frame, ...]
    geometry: Geometry

    @property
    def is_labelmap(self) -> bool:
        """Tell whether the pixels hold segment numbers."""
        return str(self.dataset.SegmentationType) == "LABELMAP"

    @property
    def background(self) -> int | None:
        """Return the segment number of the background in a LABELMAP, if Pixel Padding Value marks it."""
        value = self.dataset.get("PixelPaddingValue")
        return None if value is None else int(value)

    def slice_index(self, frame: Frame) -> int:
        """Return the 0-based slice of the grid that a frame lies on."""
        return grid_slices(frame.position, self.geometry)[0]

    def source(self, frame_index: int) -> tuple[str, int | None] | None:
        """Return SOP Instance UID and 1-based frame number (``None``: classic) of a frame's source image, if named."""
        derivation = functional_group(self.dataset, frame_index + 1, "DerivationImageSequence")
        if derivation is None or not derivation.get("SourceImageSequence"):
            return None
        image = derivation.SourceImageSequence[0]
        number = image.get("ReferencedFrameNumber")
        return str(image.ReferencedSOPInstanceUID), None if number is None else int(number)

    def pixels(self, frame_index: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Return the pixels ``(row, column)`` of a frame: 0 and 1, or segment numbers, or the fraction's numerator."""
        rows, columns = self.geometry.shape[1:]
        if self.dataset.BitsAllocated == 1:
            first = frame_index * rows * columns
            last = first + rows * columns
            packed = self._packed[first // 8 : -(-last // 8)]
            bits = np.unpackbits(packed, bitorder="little")[first % 8 : first % 8 + rows * columns]
            return bits.reshape(rows, columns)
        frame: NDArray[np.uint8] | NDArray[np.uint16] = self._planes[frame_index]
        return frame

    def mask(self, number: int) -> NDArray[np.bool_]:
        """Return the voxels ``(slice, row, column)`` of one segment on :attr:`geometry`."""
        result = np.zeros(self.geometry.shape, dtype=np.bool_)
        for index, frame in enumerate(self.frames):
            if frame.segment in (None, number):
                pixels = self.pixels(index)
                result[self.slice_index(frame)] |= pixels == number if frame.segment is None else pixels > 0
        return result

    @cached_property
    def _packed(self) -> NDArray[np.uint8]:
        syntax = self.dataset.file_meta.TransferSyntaxUID
        if syntax.is_encapsulated:
            raise ValueError(f"1-bit pixels in the transfer syntax {syntax.name} are not supported")
        packed = np.frombuffer(self.dataset.PixelData, dtype=np.uint8)
        needed = -(-len(self.frames) * self.geometry.shape[1] * self.geometry.shape[2] // 8)
        if packed.size < needed:
            raise ValueError(f"the pixel data has {packed.size} bytes, {needed} are needed")
        return packed

    @cached_property
    def _planes(self) -> list[NDArray[np.uint8] | NDArray[np.uint16]]:
        syntax = self.dataset.file_meta.TransferSyntaxUID
        rows, columns = self.geometry.shape[1:]
        if not syntax.is_encapsulated:
            dtype = np.dtype(f"<u{self.dataset.BitsAllocated // 8}")
            count = len(self.frames) * rows * columns
            stack = np.frombuffer(self.dataset.PixelData, dtype=dtype, count=count).reshape(-1, rows, columns)
            return list(stack)
        return [array for array, _ in get_decoder(syntax).iter_array(self.dataset)]


def read_seg(path: Path) -> SegContent:
    """Read a DICOM SEG, of this program or of another.

    The grid spans the positions that the frames occupy; slices between them that have no frame are part of it. Frames
    that state no spacing and lie on no even grid are the slices of an irregular stack.

    Raises
    ------
    ValueError
        If the file is not a segmentation on parallel planes.
    """
    dataset = pydicom.dcmread(path)
    if "SegmentSequence" not in dataset or "PerFrameFunctionalGroupsSequence" not in dataset:
        raise ValueError("not a segmentation object")
    frames = tuple(_frame(dataset, number) for number in range(1, int(dataset.NumberOfFrames) + 1))
    segments = tuple(_segment(item) for item in dataset.SegmentSequence)
    return SegContent(dataset, segments, frames, _geometry(dataset, frames))


def verify_seg(path: Path, label_map: LabelMap) -> None:
    """Compare a written object with the mask it was made from: grid, frames and every voxel.

    Raises
    ------
    StudyRejected
        ``SEG_MISMATCH``, naming the first difference.
    """
    try:
        _compare(read_seg(path), label_map)
    except (*MALFORMED, InvalidDicomError, OSError, EOFError) as error:
        raise StudyRejected(ReasonCode.SEG_MISMATCH, str(error)) from error


def _compare(content: SegContent, label_map: LabelMap) -> None:
    grid, array = label_map.geometry, label_map.array
    if content.geometry.shape[1:] != grid.shape[1:]:
        raise ValueError(f"frames have {content.geometry.shape[1:]} rows and columns, the mask has {grid.shape[1:]}")
    if np.abs(content.geometry.direction - grid.direction).max() > DIRECTION_TOLERANCE:
        raise ValueError("the orientation differs from the mask's")
    if not np.allclose(content.geometry.spacing[1:], grid.spacing[1:], rtol=1e-4, atol=0):
        raise ValueError(f"the pixel spacing is {content.geometry.spacing[1:]}, the mask has {grid.spacing[1:]}")
    values = {spec.name: spec.value for spec in label_map.labels}
    described = [s for s in content.segments if not (content.is_labelmap and s.number == content.background)]
    if [s.number for s in described] != list(range(1, len(described) + 1)):
        raise ValueError("segment numbers do not run from 1 without gaps")
    value_of = {segment.number: values[segment.label] for segment in described}
    places = grid_slices([frame.position for frame in content.frames], grid)
    if len({(frame.segment, place) for frame, place in zip(content.frames, places, strict=True)}) != len(places):
        raise ValueError("two frames of one segment lie on one slice")
    missing = np.zeros(1 << 16, dtype=np.int64)
    for plane in array:
        missing += np.bincount(plane.ravel(), minlength=missing.size)
    number_of = np.zeros(int(array.max()) + 1, dtype=np.uint16)
    for number, value in value_of.items():
        number_of[value : value + 1] = number
    for index, (frame, place) in enumerate(zip(content.frames, places, strict=True)):
        pixels = content.pixels(index)
        if frame.segment is None:
            expected = number_of[array[place]]
            missing -= np.bincount(array[place].ravel(), minlength=1 << 16)
        else:
            expected = array[place] == value_of[frame.segment]
            missing[value_of[frame.segment]] -= np.count_nonzero(expected)
        if not np.array_equal(pixels, expected):
            raise ValueError(f"frame {index + 1} differs from slice {place}")
    if missing[1:].any():
        values_left = {int(value): int(missing[value]) for value in np.flatnonzero(missing[1:]) + 1}
        raise ValueError(f"voxels that are in no frame, by label: {values_left}")


def _frame(dataset: Dataset, number: int) -> Frame:
    plane = functional_group(dataset, number, "PlanePositionSequence")
    if plane is None:
        raise ValueError(f"frame {number} has no position")
    segment = functional_group(dataset, number, "SegmentIdentificationSequence")
    x, y, z = (float(value) for value in plane.ImagePositionPatient)
    labelmap = str(dataset.SegmentationType) == "LABELMAP"
    if segment is None and not labelmap:
        raise ValueError(f"frame {number} names no segment")
    return Frame(None if labelmap or segment is None else int(segment.ReferencedSegmentNumber), (x, y, z))


def _segment(item: Dataset) -> Segment:
    def code(sequence: str) -> Code:
        first = item[sequence].value[0]
        return Code(value=first.CodeValue, scheme=first.CodingSchemeDesignator, meaning=first.CodeMeaning)

    return Segment(
        number=int(item.SegmentNumber),
        label=str(item.SegmentLabel),
        category=code("SegmentedPropertyCategoryCodeSequence"),
        type=code("SegmentedPropertyTypeCodeSequence"),
        algorithm_name=str(item.get("SegmentAlgorithmName", "")),
    )


def _geometry(dataset: Dataset, frames: Sequence[Frame]) -> Geometry:
    orientation = functional_group(dataset, 1, "PlaneOrientationSequence")
    measures = functional_group(dataset, 1, "PixelMeasuresSequence")
    if orientation is None or measures is None:
        raise ValueError("orientation or pixel spacing is missing")
    direction = orthonormal_direction([float(value) for value in orientation.ImageOrientationPatient])
    normal = direction[:, 2]
    positions = np.array(sorted({frame.position for frame in frames}, key=lambda p: float(np.dot(p, normal))))
    distances = positions @ normal
    gaps = np.diff(distances)
    between = float(measures.get("SpacingBetweenSlices") or 0)
    spacing = between or (float(gaps.min()) if gaps.size else float(measures.get("SliceThickness") or 1))
    count = round(float(distances[-1] - distances[0]) / spacing) + 1
    height, width = (float(value) for value in measures.PixelSpacing)
    stack = None if between else _irregular_stack(positions, direction, spacing)
    if stack is not None:
        count, spacing = len(positions), stack.median_gap
    return Geometry(
        shape=(count, int(dataset.Rows), int(dataset.Columns)),
        spacing=(spacing, height, width),
        origin=tuple(float(v) for v in positions[0]),  # type: ignore[arg-type]  # three values by construction
        direction=direction,
        stack=stack,
    )


def _irregular_stack(
    positions: NDArray[np.float64], direction: NDArray[np.float64], spacing: float
) -> IrregularStack | None:
    """Return the places of frames that state no spacing and are on no even grid; ``None`` where they are on one."""
    local = (positions - positions[0]) @ direction
    places = local[:, 2] / spacing
    on_grid = np.abs(places - places.round()).max() <= SLICE_TOLERANCE
    if on_grid and np.linalg.norm(local[:, :2], axis=1).max() <= IN_PLANE_TOLERANCE_MM:
        return None
    return IrregularStack(local[:, 2], local[:, 1::-1])
