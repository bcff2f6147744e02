"""RT Structure Sets (PS3.3 A.19): closed planar contours, drawn on the slices of an image."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from core.errors import CaseCode, CaseRefused
from core.volume import Volume
from dicom_io.annotations.annotation import AnnotationKind, Structure
from dicom_io.annotations.contours import PlanarContour, leaves, on_slice, rasterise
from dicom_io.images.headers.attributes import MALFORMED, integer, items, text, uid, value_of

CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
"""Contour Geometric Types that enclose something (C.8.8.6): both by the even-odd rule."""

LEAST_POINTS = 3
"""Points that enclose something; systems leave contours of one point where a click went astray."""

CONTOUR_CUT = "contour_cut"
CONTOUR_OF_POINTS = "contour_of_points"


class RTStruct:
    """One RT Structure Set.

    Parameters
    ----------
    header
        Its data set.
    """

    kind: AnnotationKind = "dicom_rtstruct"

    def __init__(self, header: Dataset) -> None:
        self.header = header

    @cached_property
    def structures(self) -> tuple[Structure, ...]:
        """Its ROIs, in their order."""
        interpreters = {
            integer(item, "ReferencedROINumber"): text(item, "ROIInterpreter")
            for item in items(self.header, "RTROIObservationsSequence")
        }
        person = text(self.header, "ReviewerName") or text(self.header, "OperatorsName")
        return tuple(
            Structure(
                text(item, "ROIName"),
                any(value_of(contour, "ContourData") for contour in self._contours_of(item)),
                text(item, "ROIGenerationAlgorithm"),
                interpreters.get(integer(item, "ROINumber")) or person,
            )
            for item in self._rois
        )

    @cached_property
    def series_uids(self) -> tuple[str, ...]:
        """Series that its frames of reference name."""
        found = (
            uid(series, "SeriesInstanceUID")
            for frame in items(self.header, "ReferencedFrameOfReferenceSequence")
            for study in items(frame, "RTReferencedStudySequence")
            for series in items(study, "RTReferencedSeriesSequence")
        )
        return tuple(dict.fromkeys(filter(None, found)))

    @cached_property
    def image_uids(self) -> frozenset[str]:
        """Images on which its contours were drawn."""
        contours = (contour for roi in self._rois for contour in self._contours_of(roi))
        return frozenset(filter(None, (name for contour in contours for name in _images_of(contour))))

    def mask(self, number: int, volume: Volume) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
        """Make the mask of an ROI by the rule of `dicom_io.annotations.contours`.

        Raises
        ------
        CaseRefused
            ``other_frame_of_reference``, ``open_contour``, ``unreadable_mask``, or as `on_slice` and `rasterise`.
        """
        roi = self._rois[number]
        self._check_frame_of_reference(roi, volume)
        notes: list[str] = []
        contours = list(self._on_slices(roi, volume, notes))
        mask = rasterise(contours, volume.geometry)
        if any(leaves(contour, volume.geometry) for contour in contours):
            notes.append(CONTOUR_CUT)
        return mask, tuple(dict.fromkeys(notes))

    def _on_slices(self, roi: Dataset, volume: Volume, notes: list[str]) -> Iterator[PlanarContour]:
        slice_of = {name: index for index, name in enumerate(volume.sop_instance_uids)}
        # Of a multi-frame image the frames share one UID; of images that came another way, none is known.
        is_named = len(slice_of) == len(volume.sop_instance_uids) and not self.image_uids.isdisjoint(slice_of)
        for contour in self._contours_of(roi):
            points = _points_of(contour)
            if text(contour, "ContourGeometricType") not in CLOSED:
                raise CaseRefused(CaseCode.OPEN_CONTOUR, f"One is of another type than {' or '.join(CLOSED)}.")
            if len(points) < LEAST_POINTS:
                notes.append(CONTOUR_OF_POINTS)
                continue
            placed = on_slice(points, volume.geometry)
            for name in _images_of(contour) if is_named else ():
                if slice_of.get(name) != placed.slice_index:
                    where = f"slice {slice_of[name] + 1}" if name in slice_of else "an image of another series"
                    detail = f"A contour on slice {placed.slice_index + 1} names {where} as its image."
                    raise CaseRefused(CaseCode.CONTOURS_OFF_SLICES, detail)
            yield placed

    def _check_frame_of_reference(self, roi: Dataset, volume: Volume) -> None:
        named = uid(roi, "ReferencedFrameOfReferenceUID")
        stated = [uid(item, "FrameOfReferenceUID") for item in items(self.header, "ReferencedFrameOfReferenceSequence")]
        found = named or (stated[0] if len(stated) == 1 else "")
        if not found or found != volume.frame_of_reference_uid:
            detail = "" if found else "The structure names none."
            raise CaseRefused(CaseCode.OTHER_FRAME_OF_REFERENCE, detail)

    @cached_property
    def _rois(self) -> tuple[Dataset, ...]:
        return tuple(items(self.header, "StructureSetROISequence"))

    @cached_property
    def _drawn(self) -> dict[int | None, list[Dataset]]:
        drawn: dict[int | None, list[Dataset]] = {}
        for item in items(self.header, "ROIContourSequence"):
            drawn.setdefault(integer(item, "ReferencedROINumber"), []).extend(items(item, "ContourSequence"))
        return drawn

    def _contours_of(self, roi: Dataset) -> list[Dataset]:
        return self._drawn.get(integer(roi, "ROINumber"), [])


def _images_of(contour: Dataset) -> list[str]:
    return [uid(image, "ReferencedSOPInstanceUID") for image in items(contour, "ContourImageSequence")]


def _points_of(contour: Dataset) -> NDArray[np.float64]:
    """Read the points ``(n, 3)`` of a contour, LPS mm."""
    value = value_of(contour, "ContourData")
    try:
        points = np.array([] if value is None else value, dtype=np.float64).reshape(-1, 3)
    except MALFORMED as error:
        raise CaseRefused(CaseCode.UNREADABLE_MASK, "A contour's points are not triples of numbers.") from error
    stated = integer(contour, "NumberOfContourPoints")
    if not np.isfinite(points).all() or (stated is not None and stated != len(points)):
        detail = f"A contour has {len(points)} points, and its header states {stated}."
        raise CaseRefused(CaseCode.UNREADABLE_MASK, detail)
    return points
