"""A phantom written as a DICOM series: classic or enhanced, in any geometry and transfer syntax.

The series states its own truth: positions follow the phantom's grid, values its array, attributes its contrast phase.
Everything derives from the arguments, so equal arguments give equal UIDs.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from phantom.anatomy import Phantom
from phantom.encoding import set_pixels
from phantom.modules import (
    IMPLEMENTATION_UID,
    SOP_CLASSES,
    add_contrast,
    add_equipment,
    add_frame,
    add_functional_groups,
    add_image,
    add_patient_and_study,
)
from phantom.tags import Encoding, SeriesTags, StudyTags, made_uid

INJECTION_TIME = "101500"
DELAY_SECONDS = {None: -120, "A": 35, "P": 70, "D": 300}
"""Start of the acquisition in seconds after the injection, by phase."""

PHASE_WORDS = {None: "native", "A": "arterial", "P": "portal venous", "D": "delayed"}


@dataclass(frozen=True)
class SeriesFiles:
    """A written series."""

    folder: Path
    files: tuple[Path, ...]
    study_uid: str
    series_uid: str
    sop_instance_uids: tuple[str, ...] = field(repr=False)


_STUDY = StudyTags()
_SERIES = SeriesTags()
_ENCODING = Encoding()


def make_series(
    phantom: Phantom, *, study: StudyTags = _STUDY, series: SeriesTags = _SERIES, encoding: Encoding = _ENCODING
) -> list[Dataset]:
    """Build the datasets of a series, by ascending position, without writing them.

    Raises
    ------
    ValueError
        If the values do not fit the bits or the transfer syntax cannot be written.
    """
    stored = _stored_values(phantom, encoding)
    grid = phantom.geometry
    where = (grid.shape, grid.spacing, grid.origin, grid.direction.tolist())
    series_uid = made_uid("series", study, series, encoding, phantom.modality, phantom.phase, phantom.seed, where)
    images = [stored] if encoding.enhanced else list(stored)
    return [
        _make_instance(phantom, study, series, encoding, series_uid, number, image)
        for number, image in enumerate(images, start=1)
    ]


def write_series(
    phantom: Phantom,
    folder: Path,
    *,
    study: StudyTags = _STUDY,
    series: SeriesTags = _SERIES,
    encoding: Encoding = _ENCODING,
) -> SeriesFiles:
    """Write a phantom as DICOM files ``IM0001``, ... by ascending position; see ``make_series``."""
    return save_series(make_series(phantom, study=study, series=series, encoding=encoding), folder)


def save_series(datasets: list[Dataset], folder: Path) -> SeriesFiles:
    """Write datasets as files ``IM0001``, ... into a folder, which is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    files = tuple(folder / f"IM{number:04d}" for number in range(1, len(datasets) + 1))
    for path, dataset in zip(files, datasets, strict=True):
        dataset.save_as(path, enforce_file_format=True)
    first = datasets[0]
    return SeriesFiles(
        folder, files, first.StudyInstanceUID, first.SeriesInstanceUID, tuple(d.SOPInstanceUID for d in datasets)
    )


def _stored_values(phantom: Phantom, encoding: Encoding) -> NDArray[np.int_]:
    return np.rint((phantom.array.astype(np.float64) - intercept_of(phantom, encoding)) / encoding.slope).astype(int)


def intercept_of(phantom: Phantom, encoding: Encoding) -> float:
    """Return the Rescale Intercept that the series carries."""
    if encoding.intercept is not None:
        return encoding.intercept
    return -1024.0 if phantom.modality == "CT" else 0.0


def _make_instance(
    phantom: Phantom,
    study: StudyTags,
    series: SeriesTags,
    encoding: Encoding,
    series_uid: str,
    number: int,
    stored: NDArray[np.int_],
) -> Dataset:
    sop_uid = made_uid("instance", series_uid, number)
    sop_class = SOP_CLASSES[phantom.modality, encoding.enhanced]
    dataset = Dataset()
    dataset.file_meta = _file_meta(sop_class, sop_uid)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, sop_uid
    add_patient_and_study(dataset, study)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study.uid, series_uid
    dataset.FrameOfReferenceUID = series.frame_of_reference_uid or study.frame_of_reference_uid
    dataset.Modality, dataset.SeriesNumber = phantom.modality, series.number
    words = f"{phantom.modality} {PHASE_WORDS[phantom.phase]}"
    dataset.SeriesDescription = words if series.description is None else series.description
    dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = study.date
    time = series.acquisition_time or _time_after_injection(DELAY_SECONDS[phantom.phase])
    dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = time
    dataset.InstanceNumber = number
    dataset.AcquisitionNumber = series.number
    add_equipment(dataset)
    agent = series.contrast_agent if series.contrast_agent is not None else ("IOHEXOL" if phantom.phase else "")
    if agent:
        add_contrast(dataset, agent, INJECTION_TIME, enhanced=encoding.enhanced)
    rescale = (encoding.slope, intercept_of(phantom, encoding))
    add_image(dataset, phantom.modality, series, encoding, rescale)
    dataset.PatientPosition = "HFS"
    thickness = series.slice_thickness or phantom.geometry.spacing[0]
    if encoding.enhanced:
        add_functional_groups(dataset, phantom.geometry, phantom.modality, series, rescale, thickness)
    else:
        add_frame(dataset, phantom.geometry, number - 1, thickness)
    dataset.Rows, dataset.Columns = phantom.geometry.shape[1:]
    set_pixels(dataset, stored, encoding.transfer_syntax)
    return dataset


def _file_meta(sop_class: str, sop_uid: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), UID(sop_uid)
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    return meta


def _time_after_injection(seconds: int) -> str:
    start = int(INJECTION_TIME[:2]) * 3600 + int(INJECTION_TIME[2:4]) * 60 + int(INJECTION_TIME[4:])
    total = start + seconds
    return f"{total // 3600:02d}{total // 60 % 60:02d}{total % 60:02d}"


__all__ = [
    "Encoding",
    "SeriesFiles",
    "SeriesTags",
    "StudyTags",
    "made_uid",
    "make_series",
    "save_series",
    "write_series",
]
