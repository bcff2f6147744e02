"""Segmentation objects (PS3.3 A.51), BINARY or LABELMAP: on the image's grid, or refused; nothing is resampled."""

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from core.errors import CaseCode, CaseRefused
from core.volume import Volume
from dicom_io.annotations.annotation import AnnotationKind, Structure
from dicom_io.images.headers.attributes import MALFORMED, integer, items, text, uid
from dicom_io.results.seg.read_back import DIRECTION_TOLERANCE, SegContent, read_seg
from dicom_io.results.seg.sources import grid_slices

SPACING_TOLERANCE = 1e-3
"""Largest relative difference of pixel spacings: headers round them."""


class Segmentation:
    """One SEG object.

    Parameters
    ----------
    path
        Its file, which is read when a mask is asked for.
    header
        Its data set, before the pixels.
    """

    kind: AnnotationKind = "dicom_seg"

    def __init__(self, path: Path, header: Dataset) -> None:
        self.header = header
        self._path = path

    @cached_property
    def structures(self) -> tuple[Structure, ...]:
        """Its segments, in their order, without the background of a LABELMAP."""
        return tuple(
            Structure(
                text(item, "SegmentLabel"),
                integer(item, "SegmentNumber") in self._drawn,
                text(item, "SegmentAlgorithmType"),
                text(self.header, "ContentCreatorName"),
            )
            for item in self._segments
        )

    @cached_property
    def series_uids(self) -> tuple[str, ...]:
        """Series that it refers to."""
        found = (uid(item, "SeriesInstanceUID") for item in items(self.header, "ReferencedSeriesSequence"))
        return tuple(dict.fromkeys(filter(None, found)))

    @cached_property
    def image_uids(self) -> frozenset[str]:
        """Images that its frames were derived from."""
        groups = (*self._frames, *items(self.header, "SharedFunctionalGroupsSequence"))
        found = (
            uid(image, "ReferencedSOPInstanceUID")
            for group in groups
            for derivation in items(group, "DerivationImageSequence")
            for image in items(derivation, "SourceImageSequence")
        )
        return frozenset(filter(None, found))

    def mask(self, number: int, volume: Volume) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
        """Make the mask of a segment.

        Raises
        ------
        CaseRefused
            ``fractional_mask``, ``other_frame_of_reference``, ``mask_grid``, ``unreadable_mask``.
        """
        if text(self.header, "SegmentationType") == "FRACTIONAL":
            raise CaseRefused(CaseCode.FRACTIONAL_MASK, "Its Segmentation Type is FRACTIONAL.")
        found = uid(self.header, "FrameOfReferenceUID")
        if not found or found != volume.frame_of_reference_uid:
            raise CaseRefused(CaseCode.OTHER_FRAME_OF_REFERENCE, "" if found else "The mask names none.")
        segment = integer(self._segments[number], "SegmentNumber")
        slices = self._slices_of(volume)
        mask = np.zeros(volume.geometry.shape, np.bool_)
        try:
            for index, frame in enumerate(self._content.frames):
                if frame.segment in (None, segment):
                    pixels = self._content.pixels(index)
                    mask[slices[index]] |= pixels == segment if frame.segment is None else pixels > 0
        except (*MALFORMED, MemoryError) as error:
            raise CaseRefused(CaseCode.UNREADABLE_MASK, "Its pixels cannot be decoded.") from error
        return mask, ()

    def _slices_of(self, volume: Volume) -> list[int]:
        """Find the slice of each frame, by its position and by the image that it names."""
        grid, own = volume.geometry, self._content.geometry
        if own.shape[1:] != grid.shape[1:]:
            detail = (
                f"It has {own.shape[1]} x {own.shape[2]} rows and columns, the image {grid.shape[1]} x {grid.shape[2]}."
            )
            raise CaseRefused(CaseCode.MASK_GRID, detail)
        if np.abs(own.direction - grid.direction).max() > DIRECTION_TOLERANCE:
            raise CaseRefused(CaseCode.MASK_GRID, "Its orientation is another one.")
        if not np.allclose(own.spacing[1:], grid.spacing[1:], rtol=SPACING_TOLERANCE, atol=0):
            raise CaseRefused(CaseCode.MASK_GRID, "Its pixel spacing is another one.")
        try:
            slices = grid_slices([frame.position for frame in self._content.frames], grid)
        except ValueError as error:
            raise CaseRefused(CaseCode.MASK_GRID, "A frame lies on no slice of the image.") from error
        image_at = {
            (name, frame): k
            for k, (name, frame) in enumerate(zip(volume.sop_instance_uids, volume.frame_numbers, strict=True))
        }
        for index, found in enumerate(slices):
            source = self._content.source(index)
            at = None if source is None else image_at.get((source[0], source[1] or 1))
            if at is not None and at != found:
                detail = f"Frame {index + 1} lies on slice {found + 1} and names slice {at + 1} as its image."
                raise CaseRefused(CaseCode.MASK_GRID, detail)
        return slices

    @cached_property
    def _content(self) -> SegContent:
        try:
            return read_seg(self._path)
        except (*MALFORMED, InvalidDicomError, MemoryError) as error:
            raise CaseRefused(CaseCode.UNREADABLE_MASK, "It is no SEG on parallel planes, or damaged.") from error

    @cached_property
    def _segments(self) -> tuple[Dataset, ...]:
        padding = integer(self.header, "PixelPaddingValue")
        is_labelmap = text(self.header, "SegmentationType") == "LABELMAP"
        return tuple(
            item
            for item in items(self.header, "SegmentSequence")
            if not is_labelmap or integer(item, "SegmentNumber") not in (0, padding)
        )

    @cached_property
    def _frames(self) -> tuple[Dataset, ...]:
        return tuple(items(self.header, "PerFrameFunctionalGroupsSequence"))

    @cached_property
    def _drawn(self) -> frozenset[int | None]:
        """Numbers of the segments that frames hold; in a LABELMAP each may be."""
        if text(self.header, "SegmentationType") == "LABELMAP":
            return frozenset(integer(item, "SegmentNumber") for item in self._segments)
        groups = (*self._frames, *items(self.header, "SharedFunctionalGroupsSequence"))
        return frozenset(
            integer(item, "ReferencedSegmentNumber")
            for group in groups
            for item in items(group, "SegmentIdentificationSequence")
        )
