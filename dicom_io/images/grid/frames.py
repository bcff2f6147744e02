"""The position and rescaling of each frame of a series, from classic and enhanced headers alike."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from core.errors import ReasonCode
from dicom_io.images.grid.acquisition import Acquisition, acquisition_of
from dicom_io.images.grid.even_fit import unit_of
from dicom_io.images.grid.frame_unit import image_type_of, unit_of_frame
from dicom_io.images.headers.attributes import integer, items, macro, number, numbers, text, texts, value_of
from dicom_io.images.headers.instance import Instance, rejected
from dicom_io.images.headers.series import Series

_GROUPS = "PerFrameFunctionalGroupsSequence"
_SHARED = "SharedFunctionalGroupsSequence"

LARGEST_COORDINATE_MM = 1e5
"""Farthest that an image can lie from the origin of its frame of reference: 100 m. Headers with more are damaged."""

LARGEST_COSINE = 1.5
"""Above what rounding and faulty devices write, so that nothing overflows before a unit vector is asked for."""

SMALLEST_SPACING_MM, LARGEST_SPACING_MM = 1e-3, 1e3
"""Distances of pixels from a microscope's up to a metre."""

SMALLEST_RESCALE, LARGEST_RESCALE = 1e-12, 1e12
"""Sizes of slopes; and what an intercept may reach, so that no stored value of 32 bits overflows float32."""

_RESCALED = frozenset({"CT", "PT"})
"""Modalities whose images must state Rescale Slope and Intercept (PS3.3 C.8.2.1 and C.8.9.4; the enhanced ones too)."""


@dataclass(frozen=True, eq=False)
class Frames:
    """All frames of a series, in order of their files; every array has one row a frame.

    Attributes
    ----------
    instances
        The instance of each frame.
    numbers
        Frame number within the instance, from 1; 1 for classic images.
    positions
        ``(n, 3)`` Image Position (Patient), LPS mm.
    orientations
        ``(n, 6)`` Image Orientation (Patient): direction of a row, then of a column.
    pixel_spacings
        ``(n, 2)`` mm between rows, and between columns.
    matrices
        ``(n, 2)`` rows and columns.
    rescales
        ``(n, 2)`` slope and intercept.
    units
        Unit of the rescaled values (`core.units`).
    thicknesses
        ``(n,)`` Slice Thickness in mm; NaN where it is not stated.
    stated_spacings
        ``(n,)`` Spacing Between Slices in mm; NaN where it is not stated.
    acquisitions
        How each frame was acquired and reconstructed.
    """

    instances: tuple[Instance, ...]
    numbers: tuple[int, ...]
    positions: NDArray[np.float64]
    orientations: NDArray[np.float64]
    pixel_spacings: NDArray[np.float64]
    matrices: NDArray[np.int64]
    rescales: NDArray[np.float64]
    units: tuple[str, ...]
    thicknesses: NDArray[np.float64]
    stated_spacings: NDArray[np.float64]
    acquisitions: tuple[Acquisition, ...]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.instances)

    def position_units(self) -> NDArray[np.float64]:
        """Return the unit in mm of the last decimal that Image Position (Patient) is written with: of x, y and z."""
        places = (_places(i.header, n) for i, n in zip(self.instances, self.numbers, strict=True))
        return unit_of(
            [
                texts(macro(instance.header, place, "PlanePositionSequence"), "ImagePositionPatient")
                for instance, place in zip(self.instances, places, strict=True)
            ]
        )


def _places(header: Dataset, frame_number: int) -> tuple[Dataset, ...]:
    """Return the functional groups of a frame (1-based), its own before the shared ones; none of a classic image."""
    if _GROUPS not in header:
        return ()
    return (items(header, _GROUPS)[frame_number - 1], *tuple(items(header, _SHARED))[:1])


@dataclass(frozen=True)
class _Frame:
    instance: Instance
    number: int
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    pixel_spacing: tuple[float, ...]
    matrix: tuple[int, int]
    rescale: tuple[float, float]
    unit: str
    thickness: float
    stated_spacing: float
    acquisition: Acquisition


def list_frames(series: Series) -> Frames:
    """Read the geometry and rescaling of every frame.

    Raises
    ------
    StudyRejected
        ``no_position``, ``invalid_spacing``, ``no_rescale`` or ``unreadable_pixels`` (rescaling that is no line) with
        the image; values beyond the bounds above too.
    """
    wanted = series.frames or (None,) * len(series.instances)
    found = [frame for pair in zip(series.instances, wanted, strict=True) for frame in _frames_of(*pair)]
    # Thousands of frames are of a few acquisitions, each kept once.
    known: dict[Acquisition, Acquisition] = {}
    units: dict[str, str] = {}
    return Frames(
        instances=tuple(f.instance for f in found),
        numbers=tuple(f.number for f in found),
        positions=np.array([f.position for f in found]).reshape(-1, 3),
        orientations=np.array([f.orientation for f in found]).reshape(-1, 6),
        pixel_spacings=np.array([f.pixel_spacing for f in found]).reshape(-1, 2),
        matrices=np.array([f.matrix for f in found]).reshape(-1, 2),
        rescales=np.array([f.rescale for f in found]).reshape(-1, 2),
        units=tuple(units.setdefault(f.unit, f.unit) for f in found),
        thicknesses=np.array([f.thickness for f in found]),
        stated_spacings=np.array([f.stated_spacing for f in found]),
        acquisitions=tuple(known.setdefault(f.acquisition, f.acquisition) for f in found),
    )


def _frames_of(instance: Instance, wanted: tuple[int, ...] | None) -> Iterator[_Frame]:
    """Read the frames of an image, or those that are wanted, by their numbers from 1."""
    header = instance.header
    if _GROUPS not in header:
        if (integer(header, "NumberOfFrames") or 1) != 1:
            raise rejected(ReasonCode.NO_POSITION, instance, "several frames, but no per-frame functional groups")
        yield _frame(instance, header, 1, ())
        return
    per_frame, shared = items(header, _GROUPS), tuple(items(header, _SHARED))[:1]
    if len(per_frame) != (integer(header, "NumberOfFrames") or 1):
        raise rejected(ReasonCode.NO_POSITION, instance, "not every frame has its functional groups")
    for frame_number, groups in enumerate(per_frame, start=1):
        if wanted is None or frame_number in wanted:
            yield _frame(instance, header, frame_number, (groups, *shared))


def _frame(instance: Instance, header: Dataset, frame_number: int, places: tuple[Dataset, ...]) -> _Frame:
    """Read one frame, whose macros are in the first place that has them, or of classic images in the header."""
    position = numbers(macro(header, places, "PlanePositionSequence"), "ImagePositionPatient", 3)
    orientation = numbers(macro(header, places, "PlaneOrientationSequence"), "ImageOrientationPatient", 6)
    if position is None or orientation is None:
        raise rejected(ReasonCode.NO_POSITION, instance, "its position or orientation is missing or not numeric")
    if max(map(abs, position)) > LARGEST_COORDINATE_MM or max(map(abs, orientation)) > LARGEST_COSINE:
        raise rejected(ReasonCode.NO_POSITION, instance, "its position or orientation is out of range for any scanner")
    measures = macro(header, places, "PixelMeasuresSequence")
    pixel_spacing = numbers(measures, "PixelSpacing", 2)
    if pixel_spacing is None or min(pixel_spacing) <= 0:
        raise rejected(ReasonCode.INVALID_SPACING, instance, "pixel spacing is missing or not positive")
    if not SMALLEST_SPACING_MM <= min(pixel_spacing) <= max(pixel_spacing) <= LARGEST_SPACING_MM:
        raise rejected(ReasonCode.INVALID_SPACING, instance, "its pixel spacing is out of range for any scanner")
    thickness, stated_spacing = number(measures, "SliceThickness"), number(measures, "SpacingBetweenSlices")
    transformation = macro(header, places, "PixelValueTransformationSequence")
    return _Frame(
        instance,
        frame_number,
        position,
        orientation,
        pixel_spacing,
        (integer(header, "Rows") or 0, integer(header, "Columns") or 0),
        _rescale(instance, header, transformation),
        unit_of_frame(header, transformation, image_type_of(header, places), places),
        math.nan if thickness is None else thickness,
        math.nan if stated_spacing is None else stated_spacing,
        acquisition_of(header, places),
    )


def _rescale(instance: Instance, header: Dataset, place: Dataset) -> tuple[float, float]:
    if "ModalityLUTSequence" in header:
        raise rejected(ReasonCode.UNREADABLE_PIXELS, instance, "its values need a Modality LUT, which is not supported")
    slope, intercept = number(place, "RescaleSlope"), number(place, "RescaleIntercept")
    for keyword, value in (("RescaleSlope", slope), ("RescaleIntercept", intercept)):
        if value is None and value_of(place, keyword) is not None:
            raise rejected(ReasonCode.UNREADABLE_PIXELS, instance, f"{keyword} is not a number")
    if slope is None and intercept is None and text(header, "Modality") not in _RESCALED:
        return 1.0, 0.0  # without a rescaling, stored values are the values (PS3.3 C.11.1)
    if slope is None or intercept is None:
        missing = " and ".join(
            name for name, value in (("RescaleSlope", slope), ("RescaleIntercept", intercept)) if value is None
        )
        raise rejected(ReasonCode.NO_RESCALE, instance, f"it has no {missing}")
    if (slope and not SMALLEST_RESCALE <= abs(slope) <= LARGEST_RESCALE) or abs(intercept) > LARGEST_RESCALE:
        raise rejected(ReasonCode.UNREADABLE_PIXELS, instance, "its rescaled values would exceed the range of float32")
    return slope, intercept  # a slope of 0 is judged where the pixels are read
