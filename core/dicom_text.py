"""Texts that DICOM can hold, checked where a person writes them: unchecked, a text would come back changed in the SEG.

A backslash separates values, blanks at either end are padding and get lost, control characters are not allowed
(PS3.5 sections 6.1.3, 6.2 and 6.4).
"""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

LONGEST = 64
"""Characters of a Long String (LO)."""
# Controls, lone surrogates, which no character set can write, and the separators of lines and paragraphs.
_NO_TEXT = ("Cc", "Cs", "Zl", "Zp")


def _fits(value: str) -> str:
    if "\\" in value:
        raise ValueError("DICOM reads a backslash as the end of one value and the start of the next; leave it out")
    if any(unicodedata.category(character) in _NO_TEXT for character in value):
        raise ValueError("DICOM allows no line breaks, tabs or other control characters here")
    if value != value.strip():
        raise ValueError("DICOM drops blanks at either end; leave them out")
    return value


LongString = Annotated[str, Field(max_length=LONGEST), AfterValidator(_fits)]
"""A text of VR LO: at most 64 characters on one line."""
ShortString = Annotated[str, Field(max_length=16), AfterValidator(_fits)]
"""A text of VR SH: at most 16 characters on one line."""


def one_line(text: str) -> str:
    """Turn a text of any length into one line that DICOM and YAML can hold; other characters become blanks."""
    kept = (" " if c == "\\" or unicodedata.category(c) in (*_NO_TEXT, "Cn") else c for c in text)
    return " ".join("".join(kept).split())
