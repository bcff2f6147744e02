"""What routing needs to know about a study, from headers alone."""

from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from dicom_io.images.headers.attributes import text, uid
from dicom_io.images.headers.instance import BadDicomError, NotDicomError, read_instance


@dataclass(frozen=True)
class SeriesFacts:
    """One series; an attribute that is missing is an empty text."""

    modality: str
    body_part: str
    study_description: str
    series_description: str
    requested_priority: str = ""


def read_series_facts(folder: Path) -> list[SeriesFacts]:
    """Facts of every series below a folder of the spool, by the first of its images in order of file name.

    A damaged file says nothing here; whoever reads the study sets it aside with its reason.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    found: dict[str, SeriesFacts] = {}
    for path in sorted(folder.iterdir()):
        try:
            header = read_instance(path).header
        except (NotDicomError, BadDicomError):
            continue
        found.setdefault(uid(header, "SeriesInstanceUID"), facts_of(header))
    return list(found.values())


def facts_of(header: Dataset) -> SeriesFacts:
    """Facts of the series that an image belongs to."""
    return SeriesFacts(
        text(header, "Modality"),
        text(header, "BodyPartExamined"),
        text(header, "StudyDescription"),
        text(header, "SeriesDescription"),
        text(header, "RequestedProcedurePriority"),
    )
