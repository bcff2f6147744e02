"""RT Structure Sets for tests, and the masks that plastimatch makes of them."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from core.image_files.reader import read_array
from core.volume import Volume

RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
Contour = tuple[float, NDArray[np.float64]]
"""Slice, a fraction of one too, and points ``(n, 2)``: row and column in voxels."""


def circle(row: float, column: float, radius: float, points: int = 60, start: float = 0.1) -> NDArray[np.float64]:
    """Points of a circle, none of them on a voxel's centre."""
    angles = start + np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([row + radius * np.sin(angles), column + radius * np.cos(angles)], axis=1)


def tube(slices: Sequence[int], row: float, column: float, radius: float) -> list[Contour]:
    """The same circle on each slice."""
    return [(index, circle(row, column, radius)) for index in slices]


def make_structure_set(
    volume: Volume,
    header: Dataset,
    rois: Mapping[str, Sequence[Contour]],
    *,
    kind: str = "CLOSED_PLANAR",
    decimals: int = 4,
    change: Callable[[Dataset], None] = lambda _: None,
) -> Dataset:
    """Build an RTSTRUCT of contours in voxels, on the slices of a volume.

    Parameters
    ----------
    header
        Of an image of the volume: patient, study and frame of reference.
    kind
        Contour Geometric Type of all contours.
    decimals
        Of mm, as written.
    change
        Changes the whole object at the end.
    """
    sources = [str(header.SOPInstanceUID), *sorted(rois)]
    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID = RT_STRUCTURE_SET
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID = generate_uid(entropy_srcs=[*sources])
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID"):
        if keyword in header:
            setattr(found, keyword, header[keyword].value)
    found.Modality, found.SeriesInstanceUID = "RTSTRUCT", generate_uid(entropy_srcs=["series", *sources])
    found.StructureSetLabel = "made"
    series = Dataset()
    series.SeriesInstanceUID = volume.series_uids[0]
    series.ContourImageSequence = [_reference(header, name) for name in volume.sop_instance_uids]
    study = Dataset()
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = str(header.StudyInstanceUID)
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = volume.frame_of_reference_uid
    frame.RTReferencedStudySequence = [study]
    found.ReferencedFrameOfReferenceSequence = [frame]
    found.StructureSetROISequence, found.ROIContourSequence, found.RTROIObservationsSequence = [], [], []
    for number, (name, contours) in enumerate(rois.items(), 1):
        _add_roi(found, number, name)
        item = Dataset()
        item.ReferencedROINumber = number
        item.ROIDisplayColor = [255, 0, 0]
        item.ContourSequence = [_contour(volume, header, *contour, kind, decimals) for contour in contours]
        found.ROIContourSequence.append(item)
    change(found)
    return found


def _add_roi(found: Dataset, number: int, name: str) -> None:
    roi = Dataset()
    roi.ROINumber, roi.ROIName, roi.ROIGenerationAlgorithm = number, name, "MANUAL"
    roi.ReferencedFrameOfReferenceUID = found.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID
    found.StructureSetROISequence.append(roi)
    observation = Dataset()
    observation.ObservationNumber = observation.ReferencedROINumber = number
    observation.RTROIInterpretedType, observation.ROIInterpreter = "ORGAN", "Contourer^Clara"
    found.RTROIObservationsSequence.append(observation)


def _reference(header: Dataset, name: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = str(header.SOPClassUID), name
    return item


def _contour(
    volume: Volume, header: Dataset, index: float, points: NDArray[np.float64], kind: str, decimals: int
) -> Dataset:
    item = Dataset()
    if index in range(volume.geometry.shape[0]):
        item.ContourImageSequence = [_reference(header, volume.sop_instance_uids[int(index)])]
    lps = volume.geometry.index_to_lps(np.column_stack([np.full(len(points), index), points]))
    item.ContourGeometricType, item.NumberOfContourPoints = kind, len(points)
    item.ContourData = [f"{value:.{decimals}f}" for value in lps.ravel()]
    return item


def masks_by_plastimatch(program: str, structure_set: Path, images: Path, folder: Path) -> dict[str, NDArray[np.bool_]]:
    """Let plastimatch make a mask ``(slice, row, column)`` of each structure, by the name of its file."""
    command = [program, "convert", "--input", str(structure_set), "--referenced-ct", str(images)]
    command += ["--output-prefix", str(folder), "--prefix-format", "nii.gz"]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - a peer found by name
    return {path.name.removesuffix(".nii.gz"): read_array(path)[0] != 0 for path in sorted(folder.glob("*.nii.gz"))}
