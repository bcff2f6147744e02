"""The answers that a destination may give about one object, and what each of them proves.

::

    stored        it names the object as stored: delivered
    refused       another try gives the same answer: the end
    later         it says that it cannot take it now: tried again
    has_it        it says that it has an object of this UID already: delivered if this node brought it, else asked
    doubtful      0x0110: it may have failed before or after it stored the object: asked, then tried again
    unnamed       it names the object neither as stored nor as failed: asked, and never taken for delivered

References
----------
PS3.4 table B.2-1, PS3.7 annex C (C-STORE); PS3.18 table 10.5.3-2 (STOW-RS: failure reasons are those of C-STORE).
"""

from dataclasses import dataclass
from enum import StrEnum

PROCESSING_FAILURE = 0x0110
TRANSIENT_STATUSES = frozenset({0x0212, 0x0213, *range(0xA700, 0xA800)})
"""Mistyped argument by a peer under load, resource limitation, out of resources."""

DUPLICATES = frozenset({0x0111, 0xB00E})
"""Duplicate SOP instance (PS3.7 C.5.6); DICOMweb servers give 0xB00E as the failure reason for the same."""

WARNINGS = {
    0xB000: "it coerced data elements",
    0xB006: "it discarded elements",
    0xB007: "it says that the data set does not match the SOP class",
}


class Said(StrEnum):
    """The meaning of a destination's answer."""

    STORED = "stored"
    REFUSED = "refused"
    LATER = "later"
    HAS_IT = "has_it"
    DOUBTFUL = "doubtful"
    UNNAMED = "unnamed"


class Held(StrEnum):
    """A destination's reply to the question whether it has an object."""

    YES = "yes"
    NO = "no"
    CANNOT_BE_ASKED = "cannot_be_asked"
    """It has no such service: asking again gives the same answer."""


@dataclass(frozen=True)
class Answer:
    """The destination's answer about one object.

    Attributes
    ----------
    said
        What it means.
    reason
        Empty, or the warning, doubt or refusal in this program's own words.
    comment
        The peer's own words (Error Comment), which may name a patient: for the audit trail alone.
    """

    said: Said
    reason: str = ""
    comment: str = ""

    @property
    def accepted(self) -> bool:
        """Return whether the destination stored the object."""
        return self.said is Said.STORED


def said_by_failure(status: int) -> Said:
    """Return what a failure status of C-STORE, or a failure reason of STOW-RS, means."""
    if status in DUPLICATES:
        return Said.HAS_IT
    if status == PROCESSING_FAILURE:
        return Said.DOUBTFUL
    return Said.LATER if status in TRANSIENT_STATUSES else Said.REFUSED


def warning_text(status: int) -> str:
    """Return a warning in words, such as ``stored with warning status 0xB000: it coerced data elements``."""
    meaning = WARNINGS.get(status)
    return f"stored with warning status 0x{status:04X}" + (f": {meaning}" if meaning else "")
