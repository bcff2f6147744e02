"""Attributes that a result takes over from its source images: patient, study, trial and visit.

Sources carry values that DICOM forbids (a StudyID of 17 characters) and lack attributes that it requires. A value that
is only longer than its VR allows stands as it came: a shortened identifier would be another one, and without it the
result finds neither its order nor its patient. One that its VR forbids otherwise is left out, which for attributes of
type 2 means empty. Both are told; nothing is made up.
"""

import codecs
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydicom import config
from pydicom.charset import convert_encodings, python_encoding
from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR, MAX_VALUE_LEN, DSfloat, PersonName, validate_value

from dicom_io.images.headers.attributes import items, tag_of, texts, value_of
from dicom_io.results.source_modules import ALWAYS, MODULES, TYPES

UTF8 = "ISO_IR 192"

REQUIRED = tuple(keyword for module in ALWAYS for keyword, kind in MODULES[module].items() if kind == "2")
"""In every result: empty where the source has no valid value."""

EQUIPMENT = (
    *("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber", "InstitutionName"),
    *("StationName", "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"),
)
"""The making of the images: a SEG names their equipment and their lossy compression beside its own."""

_SEXES = ("M", "F", "O")
_NUMBER_VRS = frozenset({"FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})
_NAME_GROUPS, _LONGEST_GROUP = 3, 64
"""Groups of a name, and characters of each (PS3.5 table 6.2-1)."""

_Validity = Literal["valid", "too_long", "invalid"]


@dataclass
class Inherited:
    """The attributes that a result takes over from a source image.

    Attributes
    ----------
    dataset
        The attributes of :data:`dicom_io.results.source_modules.MODULES` that the source has, with those of type 2 that
        it lacks empty. Text is decoded, so that it can be written in any character set.
    too_long
        Keywords of those that are longer than their VR allows, and stand as they came.
    left_out
        Keywords of those that their VR forbids.
    missing
        Keywords of type 1 that the source lacks beside others of their module; nothing is made up for them.
    """

    dataset: Dataset = field(default_factory=Dataset)
    too_long: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def inherit(source: Dataset) -> Inherited:
    """Copy the modules of patient, study, trial and visit of a source image.

    Parameters
    ----------
    source
        A header as read; its Specific Character Set may be any that pydicom knows.
    """
    found = Inherited()
    for module, types in MODULES.items():
        copied = [_copied(source, keyword, found) for keyword in types]
        found.dataset.update({element.tag: element for element in copied if element is not None})
        if module in ALWAYS or any(copied):
            for keyword in (keyword for keyword, kind in types.items() if kind == "2"):
                if keyword not in found.dataset:
                    setattr(found.dataset, keyword, "")
        if any(copied):
            found.missing += [key for key, kind in types.items() if kind == "1" and key not in found.dataset]
    if found.dataset.PatientSex not in ("", *_SEXES):
        found.dataset.PatientSex = ""
        found.left_out.append("PatientSex")
    return found


def equipment_of(source: Dataset) -> Dataset:
    """Copy the valid ones of :data:`EQUIPMENT`."""
    result = Dataset()
    for keyword in EQUIPMENT:
        copied = _copied(source, keyword, told := Inherited())
        if copied is not None and not told.too_long:
            result.add(copied)
    return result


def _copied(source: Dataset, keyword: str, told: Inherited) -> DataElement | None:
    """Copy one attribute, and tell what is wrong with it."""
    tag = tag_of(keyword)
    vr = dictionary_VR(tag)
    if vr == "SQ":
        copies = [_copied_item(item, told) for item in items(source, keyword)]
        return DataElement(tag, vr, copies) if any(copies) else _empty(source, keyword)
    if vr in _NUMBER_VRS:
        return _copied_number(source, keyword, vr, told)
    values = list(texts(source, keyword))
    if not any(values):
        return _empty(source, keyword)
    found = {_validity(vr, value) for value in values}
    if "invalid" in found or (dictionary_VM(tag) == "1" and len(values) > 1):
        told.left_out.append(keyword)  # a backslash inside a single value makes it another
        return None
    if "too_long" in found:
        told.too_long.append(keyword)
    kept: Sequence[object] = values
    if vr == "PN":
        kept = [PersonName(name, validation_mode=config.IGNORE) for name in values]
    return DataElement(tag, vr, kept if len(kept) > 1 else kept[0], validation_mode=config.IGNORE)


def _copied_number(source: Dataset, keyword: str, vr: str, told: Inherited) -> DataElement | None:
    value = value_of(source, keyword)
    if value is None:
        return _empty(source, keyword)
    parts = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
    if not all(isinstance(part, int | float) and math.isfinite(part) for part in parts):
        told.left_out.append(keyword)
        return None
    return DataElement(tag_of(keyword), vr, value)


def _empty(source: Dataset, keyword: str) -> DataElement | None:
    """Return an attribute that is empty in its source, where it may be so."""
    if keyword not in source or not TYPES.get(keyword, "").startswith("2"):
        return None
    vr = dictionary_VR(tag_of(keyword))
    return DataElement(tag_of(keyword), vr, [] if vr == "SQ" else "")


def _copied_item(item: Dataset, told: Inherited) -> Dataset:
    result = Dataset()
    for keyword in item.dir():
        copied = _copied(item, keyword, told)
        if copied is not None:
            result.add(copied)
    return result


def _validity(vr: str, text: str) -> _Validity:
    if _is_valid(vr, text):
        return "valid"
    if vr == "PN":
        groups = text.split("=")
        is_long = any(len(group) > _LONGEST_GROUP for group in groups)
        return "too_long" if is_long and len(groups) <= _NAME_GROUPS else "invalid"
    most = MAX_VALUE_LEN.get(vr, len(text))
    if len(text) <= most or vr == "UI":
        return "invalid"
    if vr in ("DS", "IS"):
        return "too_long" if _is_number(vr, text) else "invalid"
    parts = (text[at : at + most] for at in range(0, len(text), most))
    return "too_long" if all(_is_valid(vr, part) for part in parts) else "invalid"


def _is_number(vr: str, text: str) -> bool:
    try:
        return math.isfinite(float(text) if vr == "DS" else int(text))
    except (ValueError, OverflowError):
        return False


def _is_valid(vr: str, text: str) -> bool:
    try:
        validate_value(vr, text, config.RAISE)
    except ValueError:
        return False
    return True


def decimal_strings(values: Iterable[float]) -> list[DSfloat]:
    """Format numbers as DS of at most 16 characters, the shortest that give the number back (PS3.5 section 6.2)."""
    return [DSfloat(float(value), auto_format=True) for value in values]


def choose_character_set(source: Dataset, keep: bool, texts: Iterable[str]) -> str | list[str]:
    """Choose the Specific Character Set of a result: UTF-8, or the source's own if it can encode every text.

    Parameters
    ----------
    source
        Header of a source image.
    keep
        Whether the source's character set is wanted. A text that it has no code for (a label's name, say) falls back
        to UTF-8, since question marks in place of a name are worse than another character set.
    texts
        All text that will be written.
    """
    declared = source.get("SpecificCharacterSet")
    if not keep or not declared:
        return UTF8
    terms = [declared] if isinstance(declared, str) else [str(term) for term in declared]
    if not all(term in python_encoding for term in terms) or (UTF8 in terms and len(terms) > 1):
        return UTF8
    encodings = convert_encodings(list(terms))
    if not all(_can_encode(character, encodings) for character in set("".join(texts))):
        return UTF8
    return terms if len(terms) > 1 else terms[0]


def _can_encode(character: str, encodings: Sequence[str]) -> bool:
    for encoding in encodings:
        try:
            codecs.encode(character, encoding)
        except (UnicodeEncodeError, LookupError):  # LookupError: codecs of pydicom's own, which Python does not know
            continue
        return True
    return False


def texts_of(dataset: Dataset) -> list[str]:
    """Return every text in a dataset that its character set applies to."""
    return [str(e.value) for e in dataset.iterall() if e.VR in CUSTOMIZABLE_CHARSET_VR and not e.is_empty]
