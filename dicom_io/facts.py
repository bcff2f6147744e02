"""What routing needs to know about a study, from headers alone."""

from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

_KEYWORDS = ["SeriesInstanceUID", "Modality", "BodyPartExamined", "StudyDescription", "SeriesDescription"]


@dataclass(frozen=True)
class SeriesFacts:
    """One series; an attribute that is missing is an empty text."""

    modality: str
    body_part: str
    study_description: str
    series_description: str


def read_series_facts(folder: Path) -> list[SeriesFacts]:
    """Facts of every series below a folder of the spool, by the first of its images in order of file name."""
    found: dict[str, SeriesFacts] = {}
    for path in sorted(folder.iterdir()):
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=list(_KEYWORDS))
        except InvalidDicomError:
            continue
        uid, *values = (str(header.get(keyword) or "") for keyword in _KEYWORDS)
        found.setdefault(uid, SeriesFacts(*values))
    return list(found.values())
