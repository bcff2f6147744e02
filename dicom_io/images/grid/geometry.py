"""From the frames of a series to one regular grid, or the reason why there is none.

Conventions follow GDCM and ITK, which nnU-Net's own reader stands on: slices ascend along the normal, the normal is the
cross product of row and column direction, the distance of slices is the length of the whole stack over its gaps.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import ReasonCode, StudyRejected
from core.model_config import GeometryRule
from core.study_warning import StudyWarning, WarningCode
from core.units import UNSPECIFIED
from core.volume import Geometry
from dicom_io.images.grid.acquisition import mixed_attributes
from dicom_io.images.grid.frames import LARGEST_SPACING_MM, Frames, list_frames
from dicom_io.images.grid.stack import Slices, Stack, find_stack
from dicom_io.images.grid.table_order import rises_along_table
from dicom_io.images.headers.attributes import integer, text, uid
from dicom_io.images.headers.required import USUAL, missing_attributes
from dicom_io.images.headers.series import Series, sentence_of, unread_sentence
from dicom_io.uids import derive_uid

DIRECTION_TOLERANCE = 1e-4
"""Difference of direction cosines within a series that is always allowed."""

LARGEST_DRIFT_PIXELS = 0.1
"""Largest drift across the matrix, in pixels, that differing pixel spacings or cosines of a series may make."""

ORTHONORMAL_TOLERANCE = 2e-3
"""Largest deviation from unit length and from a right angle; cosines of three digits keep it."""

PIXEL_SPACING_TOLERANCE = 1e-5
"""Relative difference of pixel spacings within a series that is always allowed."""

STATED_SPACING_TOLERANCE = 0.1
"""Largest relative difference of the measured distance of slices from Spacing Between Slices without a warning."""

MIN_SLICES = 2
"""Fewer have no distance that could be measured."""


@dataclass(frozen=True, eq=False)
class Layout:
    """A series as a regular grid or an irregular stack.

    Attributes
    ----------
    frames
        All frames, in order of their files.
    order
        Index into ``frames`` of each slice, ascending along the normal.
    geometry
        The grid, or the places of the slices.
    frame_of_reference_uid
        Frame of Reference UID.
    warnings
        What a person should know.
    irregularity
        The refusal by a model that takes regular grids alone; ``None`` for a regular grid.
    """

    frames: Frames
    order: NDArray[np.intp]
    geometry: Geometry
    frame_of_reference_uid: str
    warnings: tuple[StudyWarning, ...]
    irregularity: StudyRejected | None = None


def layout_of(series: Series, geometry: GeometryRule = "regular") -> Layout:
    """Return the grid of a series, computed once for all models.

    Parameters
    ----------
    geometry
        ``regular`` refuses an irregular stack, ``any`` returns it as well.

    Raises
    ------
    StudyRejected
        As `lay_out`; unless ``any`` is allowed, ``gantry_tilt`` or ``uneven_spacing`` for an irregular stack.
    """
    found = series.once(_layout_or_refusal)
    refusal = found if isinstance(found, StudyRejected) else found.irregularity
    if isinstance(found, Layout) and (refusal is None or geometry == "any"):
        return found
    assert refusal is not None  # noqa: S101 - for the type checker
    # a new one each time: an error that is raised twice collects the tracebacks of both
    raise StudyRejected(refusal.code, refusal.detail, refusal.series_uid)


def _layout_or_refusal(series: Series) -> Layout | StudyRejected:
    try:
        return lay_out(series)
    except StudyRejected as error:
        return error.with_traceback(None)


def lay_out(series: Series) -> Layout:
    """Find the grid of a series, or the places of its slices, from headers alone.

    Raises
    ------
    StudyRejected
        With the first reason that applies, in this order: ``empty_uid``, ``duplicate_uid``, ``mixed_patients``,
        ``wrong_modality`` (several at once), ``mixed_frame_of_reference``; of each image ``no_position``,
        ``invalid_spacing``, ``no_rescale``, ``unreadable_pixels`` (rescaling that is no line); ``mixed_matrix``,
        ``mixed_rescale_type``, ``mixed_orientation``, ``too_few_slices``, ``mixed_acquisition``,
        ``duplicate_position``, ``gantry_tilt``, ``missing_slice``, ``uneven_spacing`` (`stack.find_stack`),
        ``invalid_spacing`` (slices impossibly far apart).
    """
    frame_of_reference = _check_identity(series)
    frames = list_frames(series)
    _check_uniform(series, frames)
    direction = orthonormal_direction(frames.orientations[0])
    if len(frames) < MIN_SLICES:
        detail = f"It has {len(frames)}, at least {MIN_SLICES} are needed."
        raise StudyRejected(ReasonCode.TOO_FEW_SLICES, detail, series.uid)
    heights = frames.positions @ direction[:, 2]
    order = np.argsort(heights, kind="stable")
    mixed = mixed_attributes(frames.acquisitions, order)
    joined = mixed == ["AcquisitionNumber"] and rises_along_table(series, frames, order)
    if mixed and not joined:
        raise StudyRejected(ReasonCode.MIXED_ACQUISITION, f"They differ in {', '.join(mixed)}.", series.uid)
    stack = _find_stack(series, frames, order, direction)
    row_spacing, column_spacing = frames.pixel_spacings[order[0]]
    rows, columns = frames.matrices[0]
    geometry = Geometry(
        (len(frames), int(rows), int(columns)),
        (stack.spacing, float(row_spacing), float(column_spacing)),
        (float(stack.origin[0]), float(stack.origin[1]), float(stack.origin[2])),
        direction,
        stack.places,
    )
    warnings = (
        *_identity_warnings(series, frame_of_reference, joined=joined),
        *_warnings(series),
        *_spacing_warnings(frames, stack),
        *_value_warnings(series, frames),
    )
    named = tuple(warning.about(series.uid) for warning in warnings)
    refusal = None if stack.refusal is None else StudyRejected(*stack.refusal, series.uid)
    return Layout(frames, order, geometry, frame_of_reference, named, refusal)


def orthonormal_direction(orientation: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the direction matrix of Image Orientation (Patient), made exactly orthonormal as in ITK's GDCM reader.

    Parameters
    ----------
    orientation
        Six cosines: of a row, then of a column.

    References
    ----------
    ITK ``itkGDCMImageIO.cxx``, ``InternalReadImageInformation``.
    """
    row, column = np.asarray(orientation[:3], np.float64), np.asarray(orientation[3:], np.float64)
    normal = _unit(np.cross(row, column))
    row = _unit(np.cross(column, normal))
    return np.stack([row, np.cross(normal, row), normal], axis=1)


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / np.linalg.norm(vector)


def patient_of(series: Series) -> set[tuple[str, str]]:
    """Return the patients of the images: Patient ID, or the name without an ID. For comparison, never to be shown."""
    return {_patient(text(i.header, "PatientID"), text(i.header, "PatientName")) for i in series.instances}


def _patient(patient_id: str, name: str) -> tuple[str, str]:
    return ("id", patient_id) if patient_id else ("name", name.upper().strip("^= "))


def _check_identity(series: Series) -> str:
    """Check that the images are one series of one patient, and return the Frame of Reference UID."""
    count = len(series.instances)
    empty, modalities, references = _identities(series)
    if references == {""} and empty["FrameOfReferenceUID"] == count:
        references = {derived_frame_of_reference(series.uid)}
        del empty["FrameOfReferenceUID"]
    for keyword in _IDENTIFIERS:
        if empty[keyword]:
            raise StudyRejected(ReasonCode.EMPTY_UID, f"{keyword}: {empty[keyword]} of {count} images.", series.uid)
    if series.conflicts:
        raise StudyRejected(ReasonCode.DUPLICATE_UID, f"SOP Instance UID {series.conflicts[0]}.", series.uid)
    if len(patient_of(series)) > 1:
        raise StudyRejected(ReasonCode.MIXED_PATIENTS, "", series.uid)
    if len(modalities) > 1:
        raise StudyRejected(ReasonCode.WRONG_MODALITY, f"It has {len(modalities)} modalities.", series.uid)
    if len(references) > 1:
        raise StudyRejected(ReasonCode.MIXED_FRAME_OF_REFERENCE, f"Found {len(references)}.", series.uid)
    return references.pop()


_IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


def _identities(series: Series) -> tuple[Counter[str], set[str], set[str]]:
    """Count the images that lack each identifier; return modalities and Frame of Reference UIDs too, as they are."""
    empty: Counter[str] = Counter()
    modalities, references = set(), set()
    for instance in series.instances:
        header = instance.header
        empty.update(keyword for keyword in _IDENTIFIERS if not uid(header, keyword))
        modalities.add(text(header, "Modality"))
        references.add(text(header, "FrameOfReferenceUID"))
    return empty, modalities, references


def derived_frame_of_reference(series_uid: str) -> str:
    """Return the Frame of Reference UID of a series without one, which no other series has."""
    return str(derive_uid("frame of reference", [series_uid]))


def _identity_warnings(series: Series, frame_of_reference: str, *, joined: bool) -> list[StudyWarning]:
    """Tell of a frame of reference that was derived, acquisitions that were taken for one, images set aside."""
    warnings = []
    if frame_of_reference == derived_frame_of_reference(series.uid):
        warnings.append(StudyWarning(WarningCode.FRAME_OF_REFERENCE_DERIVED))
    if joined:
        warnings.append(StudyWarning(WarningCode.ACQUISITIONS_JOINED))
    if series.strays:
        warnings.append(StudyWarning(WarningCode.IMAGES_SET_ASIDE, sentence_of(series.strays)))
    return warnings


def _check_uniform(series: Series, frames: Frames) -> None:
    """Check what every frame must share."""
    if len(frames) == 0:
        raise StudyRejected(ReasonCode.TOO_FEW_SLICES, "It has no frame.", series.uid)
    matrices = np.unique(frames.matrices, axis=0)
    if matrices.min() < 1:
        raise StudyRejected(ReasonCode.UNREADABLE_PIXELS, "Rows or columns are missing.", series.uid)
    if len(matrices) > 1:
        found = ", ".join(f"{rows} x {columns}" for rows, columns in matrices[:4])
        raise StudyRejected(ReasonCode.MIXED_MATRIX, f"Rows x columns: {found}.", series.uid)
    spacings = frames.pixel_spacings
    allowed = LARGEST_DRIFT_PIXELS / max(1, int(matrices.max()) - 1)
    if np.abs(spacings / spacings[0] - 1).max() > max(PIXEL_SPACING_TOLERANCE, allowed):
        low, high = spacings.min(), spacings.max()
        raise StudyRejected(ReasonCode.MIXED_MATRIX, f"Pixel spacing from {low:g} to {high:g} mm.", series.uid)
    units = sorted(set(frames.units))
    if len(units) > 1:
        raise StudyRejected(ReasonCode.MIXED_RESCALE_TYPE, f"Found {len(units)} units.", series.uid)
    spread = float(np.abs(frames.orientations - frames.orientations[0]).max())
    if spread > max(DIRECTION_TOLERANCE, min(allowed, ORTHONORMAL_TOLERANCE)):
        raise StudyRejected(
            ReasonCode.MIXED_ORIENTATION, f"Direction cosines differ by up to {spread:.2g}.", series.uid
        )
    row, column = frames.orientations[0].reshape(2, 3)
    lengths = np.linalg.norm([row, column], axis=1)
    error = max(float(np.abs(lengths - 1).max()), abs(float(row @ column)))
    if error > ORTHONORMAL_TOLERANCE:
        raise StudyRejected(
            ReasonCode.NO_POSITION, f"The orientation is not two perpendicular unit vectors ({error:.2g}).", series.uid
        )


def _find_stack(series: Series, frames: Frames, order: NDArray[np.intp], direction: NDArray[np.float64]) -> Stack:
    """Find the places of the slices; each refusal names the series."""
    slices = Slices(
        positions=frames.positions[order],
        direction=direction,
        thicknesses=frames.thicknesses[order],
        numbers=[_number_of(frames, int(index)) for index in order],
        units=frames.position_units,
    )
    try:
        stack = find_stack(slices)
    except StudyRejected as error:
        raise StudyRejected(error.code, error.detail, series.uid) from None
    if stack.spacing > LARGEST_SPACING_MM:
        raise StudyRejected(ReasonCode.INVALID_SPACING, f"Slices are {stack.spacing:g} mm apart.", series.uid)
    return stack


def _number_of(frames: Frames, index: int) -> int | None:
    """Return a slice's Instance Number, or its frame number where all slices are frames of one instance."""
    instance = frames.instances[index]
    if len(frames) > 1 and frames.instances[0] is frames.instances[-1]:
        return frames.numbers[index]
    return integer(instance.header, "InstanceNumber")


def _warnings(series: Series) -> list[StudyWarning]:
    warnings = []
    # The numbers of a volume have gaps where those of the others of its series stand.
    counted = [integer(instance.header, "InstanceNumber") for instance in (series.whole or series).instances]
    found = sorted({number for number in counted if number is not None})
    if found:
        missing = found[-1] - found[0] + 1 - len(found)
        if missing:
            detail = (
                f"InstanceNumber runs from {found[0]} to {found[-1]} with {missing} missing: "
                "slices may be missing at the ends or evenly throughout, which geometry cannot show."
            )
            warnings.append(StudyWarning(WarningCode.INSTANCE_NUMBER_GAP, detail))
    if series.unread:
        detail = f"{unread_sentence(series.unread)} Images of this series may be among them."
        warnings.append(StudyWarning(WarningCode.FILES_UNREADABLE, detail))
    if series.repeats:
        detail = f"{series.repeats} files repeat an image of the series and were left out."
        warnings.append(StudyWarning(WarningCode.IMAGES_REPEATED, detail))
    if series.changed_words:
        detail = f"The header that was written last counts. They differ in: {series.changed_words}."
        warnings.append(StudyWarning(WarningCode.DESCRIPTION_CHANGED, detail))
    return warnings


def _value_warnings(series: Series, frames: Frames) -> list[StudyWarning]:
    warnings = []
    if frames.units[0] == UNSPECIFIED and text(series.instances[0].header, "Modality") == "CT":
        warnings.append(StudyWarning(WarningCode.UNIT_UNSPECIFIED))
    if missing := missing_attributes(series.instances):
        taken = "; ".join(f"{keyword} is missing and taken as {USUAL[keyword]}" for keyword in missing)
        warnings.append(StudyWarning(WarningCode.ATTRIBUTE_MISSING, f"{taken}."))
    return warnings


def _spacing_warnings(frames: Frames, stack: Stack) -> list[StudyWarning]:
    """Warn if images state smaller slice spacing than was found: every second slice may be missing."""
    if stack.places is not None and not stack.places.is_even:
        return []
    low, high = float(np.abs(frames.stated_spacings).min()), float(np.abs(frames.stated_spacings).max())
    if math.isnan(low) or low == 0 or high - low > STATED_SPACING_TOLERANCE * low:
        return []
    # some devices state the gap between the faces of slices, not the distance of their centres
    meanings = (low, low + float(np.nan_to_num(frames.thicknesses[0])))
    # under a tilted gantry some state the way of the table, others the distance along the normal
    ways = {stack.spacing, stack.spacing if stack.places is None else stack.places.way_per_slice}
    if any(abs(way - meaning) <= STATED_SPACING_TOLERANCE * way for meaning in meanings for way in ways):
        return []
    detail = (
        f"Slices are {stack.spacing:.3f} mm apart, but SpacingBetweenSlices says {low:.3f} mm: slices may be missing "
        "evenly throughout, which geometry cannot show."
    )
    return [StudyWarning(WarningCode.STATED_SPACING_DIFFERS, detail)]
