"""Attributes that a result takes over from its source images: patient, study and acquisition, made valid.

Sources carry values that DICOM forbids (a StudyID of 17 characters) and lack attributes that it requires. A value that
its VR forbids is left out, which for attributes of type 2 means empty: a shortened identifier would be another
identifier. Nothing is made up.
"""

import codecs
from collections.abc import Iterable, Sequence

from pydicom import config
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import DSfloat, PersonName, validate_value

from dicom_io.images.headers.attributes import items, tag_of, texts

UTF8 = "ISO_IR 192"

REQUIRED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyID",
    "ReferringPhysicianName",
    "PositionReferenceIndicator",
)
"""Type 2 in a SEG: empty where the source has no valid value."""

OPTIONAL = (
    "IssuerOfPatientID",
    "OtherPatientIDsSequence",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "StudyDescription",
    "Manufacturer",
    "ManufacturerModelName",
    "SoftwareVersions",
    "DeviceSerialNumber",
    "InstitutionName",
    "StationName",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
"""Copied where the source has them."""

_SEXES = ("M", "F", "O")
_CHARACTER_SET_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})


def inherit(source: Dataset) -> Dataset:
    """Copy patient, study and equipment attributes of a source image, valid and as decoded text.

    Parameters
    ----------
    source
        A header as read; its Specific Character Set may be any that pydicom knows.

    Returns
    -------
    Dataset
        All of :data:`REQUIRED`, empty where the source has no valid value, and the valid ones of :data:`OPTIONAL`. Text
        is decoded, so that it can be written in any character set.
    """
    result = Dataset()
    for keyword in REQUIRED:
        setattr(result, keyword, "")
    for keyword in (*REQUIRED, *OPTIONAL):
        copied = _copied(source, keyword)
        if copied is not None:
            result.add(copied)
    if result.PatientSex not in _SEXES:
        result.PatientSex = ""
    return result


def _copied(source: Dataset, keyword: str) -> DataElement | None:
    tag = tag_of(keyword)
    vr = dictionary_VR(tag)
    if vr == "SQ":
        copies = [_copied_item(item) for item in items(source, keyword)]
        return DataElement(tag, vr, copies) if any(copies) else None
    values = list(texts(source, keyword))
    if not any(values) or not all(_is_valid(vr, value) for value in values):
        return None
    if dictionary_VM(tag) == "1" and len(values) > 1:
        return None  # a backslash inside a single value makes it another
    if vr == "PN":
        return DataElement(tag, vr, PersonName(values[0]))
    return DataElement(tag, vr, values if len(values) > 1 else values[0])


def _copied_item(item: Dataset) -> Dataset:
    result = Dataset()
    for keyword in item.dir():
        copied = _copied(item, keyword)
        if copied is not None:
            result.add(copied)
    return result


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
    return [str(e.value) for e in dataset.iterall() if e.VR in _CHARACTER_SET_VRS and not e.is_empty]
