"""The facts about a study that routing needs, from headers alone."""

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
    """Read the facts of every series in a folder of the spool, each from its first image in order of file names.

    A damaged file is skipped here; whatever reads the study sets it aside with its reason.

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
    """Return the facts of the series that an image belongs to."""
    return SeriesFacts(
        text(header, "Modality"),
        text(header, "BodyPartExamined"),
        text(header, "StudyDescription"),
        text(header, "SeriesDescription"),
        text(header, "RequestedProcedurePriority"),
    )
