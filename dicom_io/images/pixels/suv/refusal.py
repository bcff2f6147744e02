"""The refusal of a PET series, which names the attribute that is at fault."""

from pydicom.datadict import dictionary_description

from core.errors import ReasonCode, StudyRejected
from dicom_io.images.headers.attributes import tag_of

RESEND = "Correct it at the scanner or in the archive and send the series again."


def no_suv(what: str, finding: str, remedy: str = RESEND) -> StudyRejected:
    """Build the refusal.

    Parameters
    ----------
    what
        Keyword of an attribute, or the name of a private one.
    finding
        What it is and what was expected, the sentence that the name begins; no text of the header, no date.
    remedy
        A sentence that says what to do.
    """
    return StudyRejected(ReasonCode.NO_SUV, f"{name_of(what)} {finding}. {remedy}")


def name_of(what: str) -> str:
    """Return the name of an attribute with its tag, of a keyword; any other text as it is."""
    if not what.isalnum():
        return what
    tag = tag_of(what)
    return f"{dictionary_description(tag)} ({tag.group:04X},{tag.element:04X})"
