"""The attributes that tell the images of one series apart, read frame by frame.

Most of them are one value throughout a volume. A few may change from slice to slice of one volume (`Attribute.varies`):
they tell volumes apart only where nothing else does.

References
----------
PS3.3 C.7.6.16.2.2 (Frame Content), C.7.6.17 (dimensions), C.8.13.5.9 (MR Diffusion), C.8.3.1 (MR Image), C.7.6.16.2.7
(Cardiac Synchronization); dcm2niix, README of the vendors, for the private b-values.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from dicom_io.images.grid.frame_unit import image_type_of, unit_of_frame
from dicom_io.images.headers.attributes import first_item, integer, items, macro, number, numbers, text
from dicom_io.images.headers.private import (
    GE_B_VALUE,
    GE_DIRECTION,
    PHILIPS_B_VALUE,
    PHILIPS_DIRECTION,
    SIEMENS_B_VALUE,
    SIEMENS_DIRECTION,
    PrivateElement,
    private_numbers,
)
from dicom_io.images.headers.series import Places

Value = Any
"""A text, a number, a tuple of either, or ``None`` where the header states none."""

GE_B_VALUE_OFFSET = 1e9
"""GE adds it to the b-value of images whose gradients were merged: 1000000050 is 50 s/mm²."""

LARGEST_B_VALUE = 1e5
"""In s/mm²; a larger one is something else."""

_DIRECTION_DECIMALS = 3


@dataclass(frozen=True)
class Attribute:
    """One attribute.

    Attributes
    ----------
    key
        Its key of ``volume`` in ``model.yaml`` (`core.model_config.VolumeRule`).
    words, unit
        What a person calls it, and its unit; empty without one.
    read
        Returns its value of a frame, from the header and the frame's functional groups.
    tolerance
        Largest relative difference of two numbers that are one.
    varies
        Whether it may change within a volume.
    is_named
        Whether ``volume`` has a key for it.
    """

    key: str
    words: str
    read: Callable[[Dataset, Places], Value]
    unit: str = ""
    tolerance: float = 0.0
    varies: bool = False
    is_named: bool = True


def _classic_or(keyword: str, sequence: str, within: str) -> Callable[[Dataset, Places], float | None]:
    """Read a number of the header, or of an item of the functional groups."""

    def read(header: Dataset, places: Places) -> float | None:
        return number(macro(header, places, sequence), within) if places else number(header, keyword)

    return read


def _text_or(keyword: str, sequence: str, within: str) -> Callable[[Dataset, Places], str | None]:
    def read(header: Dataset, places: Places) -> str | None:
        return (text(macro(header, places, sequence), within) if places else text(header, keyword)) or None

    return read


def _whole_or(keyword: str, within: str) -> Callable[[Dataset, Places], int | None]:
    def read(header: Dataset, places: Places) -> int | None:
        return integer(macro(header, places, "FrameContentSequence"), within) if places else integer(header, keyword)

    return read


def b_value(header: Dataset, places: Places = ()) -> float | None:
    """Return the diffusion b-value in s/mm²: the standard's, else Siemens', GE's or Philips' own, by their creators."""
    if places:
        return number(macro(header, places, "MRDiffusionSequence"), "DiffusionBValue")
    found = number(header, "DiffusionBValue")
    if found is not None:
        return found
    for element, word in ((SIEMENS_B_VALUE, "d"), (GE_B_VALUE, "d"), (PHILIPS_B_VALUE, "f")):
        values = private_numbers(header, element, word)
        if values:
            value = values[0]
            if element is GE_B_VALUE and value >= GE_B_VALUE_OFFSET:
                value -= GE_B_VALUE_OFFSET
            if 0 <= value <= LARGEST_B_VALUE:
                return value
    return None


def direction(header: Dataset, places: Places = ()) -> Value:
    """Return the direction of the diffusion gradient as three cosines, or ``none``, ``isotropic``, ``bmatrix``.

    It is ``none`` too where a classic image states a b-value and no direction, as vendors' trace images do.
    """
    place = macro(header, places, "MRDiffusionSequence")
    said = text(place, "DiffusionDirectionality").lower()
    if said in ("none", "isotropic", "bmatrix"):
        return said
    if places:
        item = first_item(place, "DiffusionGradientDirectionSequence")
        return None if item is None else _cosines(numbers(item, "DiffusionGradientOrientation", 3))
    found = _cosines(
        numbers(header, "DiffusionGradientOrientation", 3)
        or private_numbers(header, SIEMENS_DIRECTION, "d")
        or _joined(header, GE_DIRECTION, "d")
        or _joined(header, PHILIPS_DIRECTION, "f")
    )
    return "none" if found is None and b_value(header) is not None else found


def _joined(header: Dataset, elements: Iterable[PrivateElement], word: str) -> tuple[float, ...]:
    return tuple(value for element in elements for value in private_numbers(header, element, word)[:1])


def _cosines(values: tuple[float, ...] | None) -> tuple[float, ...] | None:
    if values is None or len(values) != 3 or not any(values):
        return None
    # + 0.0, since -0.0 is written differently
    return tuple(round(value, _DIRECTION_DECIMALS) + 0.0 for value in values)


def _image_type(header: Dataset, places: Places) -> tuple[str, ...] | None:
    return tuple(value.upper() for value in image_type_of(header, places)) or None


def _component(header: Dataset, places: Places) -> str | None:
    found = text(macro(header, places, "MRImageFrameTypeSequence"), "ComplexImageComponent")
    return (found or text(header, "ComplexImageComponent")).upper() or None


def _stack(header: Dataset, places: Places) -> str | None:
    return text(macro(header, places, "FrameContentSequence"), "StackID") or None


def _matrix(header: Dataset, places: Places) -> Value:
    return integer(header, "Rows"), integer(header, "Columns")


def _pixel_spacing(header: Dataset, places: Places) -> Value:
    found = numbers(macro(header, places, "PixelMeasuresSequence"), "PixelSpacing", 2)
    return None if found is None else tuple(round(value, 6) for value in found)


def _thickness(header: Dataset, places: Places) -> float | None:
    return number(macro(header, places, "PixelMeasuresSequence"), "SliceThickness")


def _unit(header: Dataset, places: Places) -> str:
    transformation = macro(header, places, "PixelValueTransformationSequence")
    return unit_of_frame(header, transformation, image_type_of(header, places), places)


def _photometry(header: Dataset, places: Places) -> str | None:
    return text(header, "PhotometricInterpretation") or None


def _phase_of(cycle: str) -> Callable[[Dataset, Places], float | None]:
    keyword = f"NominalPercentageOf{cycle}Phase"
    return _classic_or(keyword, f"{cycle}SynchronizationSequence", keyword)


def _dimension(header: Dataset, places: Places) -> Value:
    """Return keyword and index of each dimension that no other attribute of this table reads."""
    if not places:
        return None
    indices = numbers_of(macro(header, places, "FrameContentSequence"), "DimensionIndexValues")
    pointers = [_pointer(item) for item in items(header, "DimensionIndexSequence")]
    pairs = zip(pointers, indices, strict=False)
    return tuple(f"{name}={int(index)}" for name, index in pairs if name not in _READ_ELSEWHERE) or None


def numbers_of(header: Dataset, keyword: str) -> tuple[float, ...]:
    """Return numbers, however many there are."""
    value = header.get(keyword)
    parts = value if isinstance(value, list | tuple) or hasattr(value, "__iter__") else [value]
    return tuple(float(part) for part in parts if isinstance(part, int | float))


def _pointer(item: Dataset) -> str:
    value = item.get("DimensionIndexPointer")
    return keyword_for_tag(value) if isinstance(value, int) else ""


_READ_ELSEWHERE = frozenset(
    {
        *("ImagePositionPatient", "InStackPositionNumber", "SliceLocation", "ImagePositionVolume", "StackID"),
        *("ImageOrientationPatient", "PlanePositionSequence", "PlaneOrientationSequence", "TableIncrement"),
        *("FrameAcquisitionDateTime", "FrameReferenceDateTime", "FrameAcquisitionNumber", "TablePosition"),
        *("NominalCardiacTriggerDelayTime", "ActualCardiacTriggerDelayTime", "TemporalPositionTimeOffset"),
        *("TriggerTime", "FrameReferenceTime", "RRIntervalTimeNominal"),
        "",
    }
)
"""Dimensions of space, those of `Attribute.varies`, moments, and private ones."""

ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("echo", "echo", lambda header, places: None if places else integer(header, "EchoNumbers")),
    Attribute("b_value", "b-value", b_value, "s/mm²", 0.01),
    Attribute("time", "time", _whole_or("TemporalPositionIdentifier", "TemporalPositionIndex")),
    Attribute("image_type", "image type", _image_type),
    Attribute("component", "component", _component),
    Attribute("direction", "direction", direction),
    Attribute("echo_time", "echo time", _classic_or("EchoTime", "MREchoSequence", "EffectiveEchoTime"), "ms", 0.01),
    Attribute("cardiac_phase", "cardiac phase", _phase_of("Cardiac"), "%"),
    Attribute("respiratory_phase", "respiratory phase", _phase_of("Respiratory"), "%"),
    Attribute("acquisition", "acquisition", _whole_or("AcquisitionNumber", "FrameAcquisitionNumber"), varies=True),
    Attribute("kernel", "kernel", _text_or("ConvolutionKernel", "CTReconstructionSequence", "ConvolutionKernel")),
    Attribute("kvp", "voltage", _classic_or("KVP", "CTXRayDetailsSequence", "KVP"), "kV", 0.01),
    Attribute("stack", "stack", _stack),
    Attribute("tilt", "tilt", lambda header, places: number(header, "GantryDetectorTilt"), "degrees"),
    Attribute("matrix", "matrix", _matrix),
    Attribute("pixel_spacing", "pixel spacing", _pixel_spacing, "mm"),
    Attribute(
        "inversion_time",
        "inversion time",
        _classic_or("InversionTime", "MRModifierSequence", "InversionTimes"),
        "ms",
        0.01,
    ),
    Attribute(
        "flip_angle",
        "flip angle",
        _classic_or("FlipAngle", "MRTimingAndRelatedParametersSequence", "FlipAngle"),
        "degrees",
        0.01,
    ),
    Attribute("photometric_interpretation", "photometric interpretation", _photometry),
    Attribute("unit", "unit", _unit, is_named=False),
    Attribute("dimension", "dimension", _dimension),
    Attribute("slice_thickness", "slice thickness", _thickness, "mm", 0.01, varies=True),
    Attribute(
        "trigger_time",
        "trigger time",
        _classic_or("TriggerTime", "CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
        "ms",
        varies=True,
    ),
    Attribute(
        "frame_time",
        "frame time",
        lambda header, places: None if places else number(header, "FrameReferenceTime"),
        "ms",
        varies=True,
    ),
)
"""In the order in which they name volumes. Orientation and normal come from `dicom_io.images.splitting.frame_table`."""


def merged(column: Sequence[Value], tolerance: float) -> list[Value]:
    """Let numbers that follow each other within a relative tolerance be one: the first."""
    first_of: dict[float, float] = {}
    for value in sorted({value for value in column if value is not None}):
        before = next(reversed(first_of), None)
        near = before is not None and value - before <= tolerance * max(abs(value), abs(before))
        first_of[value] = first_of[before] if near and before is not None else value
    return [None if value is None else first_of[value] for value in column]
