"""The unit of a frame's rescaled values, from every place in which its header may state one.

A CT image is in HU where its Rescale Type is HU, absent, or unspecified, unless another attribute says that its values
are something else: many maps of spectral CT keep the form of a CT image and state their unit in one place only.

References
----------
PS3.3 C.11.1.1.2 (Rescale Type), C.7.6.16.2.11 (Real World Value Mapping), C.8.2.1.1.1 and C.8.15.2.1.1.5 (Image Type
value 4 of multi-energy CT); UCUM.
"""

import re
from collections.abc import Iterable

from pydicom.dataset import Dataset

from core.units import EFFECTIVE_Z, ELECTRON_DENSITY, HU, HU_MODIFIED, UNSPECIFIED
from dicom_io.images.headers.attributes import first_item, items, text, texts

_HOUNSFIELD_WORDS = frozenset(
    {"HU", "HOUNSFIELD", "HOUNSFIELDUNIT", "HOUNSFIELDUNITS", "HNSF'U", "CTNUMBER", "CTNUMBERS", "CTNUMBERHU"}
)
"""Without blanks and brackets."""
_SILENT = frozenset(
    {
        "",
        "1",
        "US",
        "{NO UNITS}",
        "{NO UNIT}",
        "NO UNITS",
        "NO UNIT",
        "NO_UNITS",
        "UNITLESS",
        "UNSPECIFIED",
        "NORMALIZED",
        "NONE",
    }
)
"""Texts in the place of a unit that state none: UCUM 1, DICOM's US, and words of devices."""

_ARBITRARY = re.compile(r"\[ARB'U\]|\{(?!.*(EFF|ATOMIC|RATIO|FRACTION|DENSITY|IOD|SCORE))[^{}]*\}")
"""UCUM's arbitrary unit, and annotations, which have no unit, unless one names a quantity."""

_OF_IMAGE_TYPE = {
    "VMI": HU,
    "MAT_REMOVED": HU_MODIFIED,
    "MAT_MODIFIED": HU_MODIFIED,
    "EFF_ATOMIC_NUM": EFFECTIVE_Z,
    "ELECTRON_DENSITY": ELECTRON_DENSITY,
}
"""Units of the values of Image Type value 4 of multi-energy CT that have one unit by definition."""

_QUANTITY_CODES = frozenset({("246205007", "SCT"), ("G-C1C6", "SRT"), ("G-C1C6", "SNM3")})
_ORDINARY = {"CT": ("112031", "DCM"), "MR": ("110852", "DCM")}
"""Quantities of ordinary images: attenuation coefficient, and MR signal intensity."""


def unit_of_frame(
    header: Dataset, transformation: Dataset, image_type: Iterable[str], places: tuple[Dataset, ...]
) -> str:
    """Return the unit of a frame's rescaled values; ``US`` where nothing states it.

    Parameters
    ----------
    header
        Of the instance.
    transformation
        The item or header with Rescale Type.
    image_type
        Values of Frame Type, or Image Type.
    places
        Functional groups of the frame, its own before the shared ones; none for a classic image.
    """
    stated = _plain(text(transformation, "RescaleType"))
    is_ct = text(header, "Modality") == "CT"
    if stated not in (HU, UNSPECIFIED, ""):
        return stated
    if mapped := mapped_unit(header, places):
        return mapped
    if not is_ct:
        return stated or UNSPECIFIED
    beside = _plain(text(header, "Units"))  # of the PET module; a CT that has it is of what it says
    if beside not in (HU, UNSPECIFIED, ""):
        return beside
    by_type = next((_OF_IMAGE_TYPE[value] for value in map(str.upper, image_type) if value in _OF_IMAGE_TYPE), HU)
    return by_type if by_type != HU else stated or HU


def _plain(words: str) -> str:
    """Return a Rescale Type or a code as it is compared: HU, US, or itself; empty where there is none."""
    upper = words.upper()
    if re.sub(r"[\s()\[\]]", "", upper) in _HOUNSFIELD_WORDS:
        return HU
    if not upper:
        return ""
    return UNSPECIFIED if upper in _SILENT or _ARBITRARY.fullmatch(upper) else words


def mapped_unit(header: Dataset, places: tuple[Dataset, ...]) -> str:
    """Return the unit or quantity of a frame's Real World Value Mappings; empty if one is HU, or none says any."""
    mappings = [item for place in (*places, header) for item in items(place, "RealWorldValueMappingSequence")]
    found = [_unit_of_mapping(mapping, text(header, "Modality")) for mapping in mappings]
    return "" if HU in found else next((unit for unit in found if unit != UNSPECIFIED), "")


def _unit_of_mapping(mapping: Dataset, modality: str) -> str:
    code = first_item(mapping, "MeasurementUnitsCodeSequence")
    unit = _plain(text(code, "CodeValue") or text(code, "LongCodeValue")) if code is not None else ""
    if unit not in ("", UNSPECIFIED):
        return unit
    return _quantity(mapping, modality) or UNSPECIFIED


def _quantity(mapping: Dataset, modality: str) -> str:
    """Return the code of a mapped quantity that is not what ordinary images show, where it has no unit of its own."""
    for definition in items(mapping, "QuantityDefinitionSequence"):
        name, value = first_item(definition, "ConceptNameCodeSequence"), first_item(definition, "ConceptCodeSequence")
        if name is not None and value is not None and _coded(name) in _QUANTITY_CODES:
            found = _coded(value)
            if found != _ORDINARY.get(modality):
                return f"quantity {found[0]}"
    return ""


def _coded(concept: Dataset) -> tuple[str, str]:
    return text(concept, "CodeValue"), text(concept, "CodingSchemeDesignator")


def image_type_of(header: Dataset, places: tuple[Dataset, ...]) -> tuple[str, ...]:
    """Return the values of Frame Type, of classic images those of Image Type."""
    for sequence in ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence"):
        for place in places:
            item = first_item(place, sequence)
            if item is not None and (found := texts(item, "FrameType")):
                return found
    return texts(header, "ImageType")
