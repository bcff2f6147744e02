"""Specific Character Set of a header, whose terms some devices misspell."""

import re
from collections.abc import Iterator, Sequence

from pydicom.charset import convert_encodings, python_encoding
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR

_CHARACTER_SET = Tag("SpecificCharacterSet")
_UTF8 = "ISO_IR 192"
_UTF8_NAMES = re.compile(r"(?:(?:ISO[ _-]*)?(?:2022[ _-]*)?(?:IR[ _-]*)?192|UTF[ _-]?8)", re.IGNORECASE)
_SINGLE = re.compile(r"ISO[ _-]*IR[ _-]*(\d+)", re.IGNORECASE)
_EXTENDED = re.compile(r"ISO[ _-]*2022[ _-]*IR[ _-]*(\d+)", re.IGNORECASE)


def settle_character_set(header: Dataset) -> None:
    """Put the defined term in the place of a misspelt one, and have the header's text decoded by it.

    ``ISO_IR_192``, ``ISO 2022 IR 192`` and the like are UTF-8 where all text of the header is valid UTF-8; other
    terms are understood if a blank, an underscore or a hyphen stands for another. A term that is not understood
    stays as it is, and its text is read as pydicom reads it.

    Parameters
    ----------
    header
        As read, no text of it decoded yet; changed in place.

    References
    ----------
    PS3.3 C.12.1.1.2: UTF-8 is ``ISO_IR 192``, alone; there is no code extension of it.
    """
    try:
        declared = header.get(_CHARACTER_SET)
        terms = [] if declared is None or declared.is_empty else _terms(declared.value)
    except (ValueError, TypeError, AttributeError):
        return
    settled = _settled(terms, header)
    if settled == terms:
        return
    value = settled if len(settled) > 1 else settled[0]
    header[_CHARACTER_SET] = DataElement(_CHARACTER_SET, "CS", value)
    _decode_by(header, convert_encodings(list(settled)))


def _terms(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(term) for term in value]  # type: ignore[attr-defined]  # text else


def _settled(terms: Sequence[str], header: Dataset) -> list[str]:
    names_utf8 = [bool(_UTF8_NAMES.fullmatch(term.strip())) for term in terms]
    if any(names_utf8):
        others = {term.strip() for term, is_utf8 in zip(terms, names_utf8, strict=True) if not is_utf8}
        plain = others <= {"", "ISO_IR 6", "ISO 2022 IR 6"}
        return [_UTF8] if plain and _is_utf8(header) else list(terms)
    return [_term(term) for term in terms]


def _term(term: str) -> str:
    for pattern, prefix in ((_EXTENDED, "ISO 2022 IR "), (_SINGLE, "ISO_IR ")):
        found = pattern.fullmatch(term.strip())
        if found is not None and prefix + found[1] in python_encoding:
            return prefix + found[1]
    return term


def _is_utf8(header: Dataset) -> bool:
    try:
        for value in _raw_texts(header):
            value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _raw_texts(header: Dataset) -> Iterator[bytes]:
    """Yield the bytes of every text, of items too; sequences are taken apart for it, their text is not decoded."""
    for tag in list(header.keys()):
        element = header.get_item(tag)
        vr = element.VR or (dictionary_VR(tag) if dictionary_has_tag(tag) else "")
        if vr == "SQ":
            for item in header[tag].value:
                yield from _raw_texts(item)
        elif vr in CUSTOMIZABLE_CHARSET_VR and isinstance(element, RawDataElement):
            yield element.value or b""


def _decode_by(header: Dataset, encodings: list[str]) -> None:
    """Have the text of a header and of its items decoded by other encodings, but for items that state their own."""
    implicit, little_endian = header.original_encoding
    header.set_original_encoding(implicit, little_endian, encodings)
    for tag in list(header.keys()):
        element = header.get_item(tag)
        if isinstance(element, DataElement) and element.VR == "SQ":
            for item in element.value:
                if _CHARACTER_SET not in item:
                    _decode_by(item, encodings)
