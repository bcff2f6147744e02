"""The words that tell of a patient, so that no free text that holds one leaves the archive."""

import re

from pydicom.dataset import Dataset

from dicom_io.images.headers.attributes import MALFORMED, decoded, text

PATIENT_GROUP = 0x0010
ALSO = ("AccessionNumber", "StudyID", "IssuerOfPatientID")
SHORTEST = 3
"""Letters of a word; sex and short initials are everywhere."""


def patient_words(*headers: Dataset) -> frozenset[str]:
    """Collect the words of the attributes of a patient, in small letters."""
    words: set[str] = set()
    for header in headers:
        values = [text(header, keyword) for keyword in ALSO]
        for tag in [tag for tag in header.keys() if tag.group == PATIENT_GROUP]:  # noqa: SIM118 - iteration gives elements
            try:
                values.append(decoded(header[tag].value))
            except MALFORMED:
                continue
        words |= {word.casefold() for value in values for word in re.split(r"[\W_]+", value)}
    return frozenset(word for word in words if len(word) >= SHORTEST)
