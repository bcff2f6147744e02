"""Sources of data sets: made patients as DICOM with SEG or RTSTRUCT, and files in the other forms."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from core.label_map import LabelMap
from core.model_config import LabelSpec
from core.volume import Geometry
from dicom_io.results.seg.build import build_seg, write_seg
from phantom.anatomy import make_phantom
from phantom.series import write_series
from phantom.tags import SeriesTags, StudyTags
from tests.support.seg_cases import context, read_case
from tests.support.structure_sets import make_structure_set, tube

SHAPE = (8, 24, 28)
GRID = Geometry(SHAPE, (30.0, 9.0, 12.0), (-162.0, -103.0, -105.0), np.eye(3))
NAMES = ("Liver", "Spleen")


def canary(seed: int) -> StudyTags:
    """Attributes of a patient that no file of a data set may hold."""
    return StudyTags(
        name=f"case {seed}",
        patient_name=f"Canarius{seed}^Zebulon",
        patient_id=f"CANARY-ID-{seed}",
        description="Canarystudy",
        accession_number=f"CANARYACC{seed}",
    )


def dicom_patient(folder: Path, seed: int, names: tuple[str, ...] = NAMES, *, rtstruct: bool = False) -> Path:
    """Write a made CT with a mask of each named structure; the mask is a SEG, or circles as an RTSTRUCT."""
    made = make_phantom(GRID, modality="CT", seed=seed)
    write_series(made, folder / "ct", study=canary(seed), series=SeriesTags(number=3))
    case = read_case(folder / "ct")
    if rtstruct:
        rois = {name: tube(range(1, 6), 12, 8 + 9 * number, 4.4) for number, name in enumerate(names)}
        structure_set = make_structure_set(case.volume, case.sources[0].header, rois)
        structure_set.save_as(folder / "rs.dcm", enforce_file_format=True)
        return folder
    mask = np.zeros(SHAPE, np.uint8)
    for number, _ in enumerate(names):
        mask[2:6, 4:14, 3 + 8 * number : 8 + 8 * number + seed % 3] = number + 1
    labels = tuple(LabelSpec(value=number, name=name) for number, name in enumerate(names, 1))
    seg = build_seg(LabelMap(mask, case.volume.geometry, labels), case.volume, case.sources, context(labels))
    write_seg(seg, folder / "seg.dcm")
    return folder


def image_of(seed: int, shape: tuple[int, int, int] = SHAPE) -> NDArray[np.int16]:
    """Values like those of a CT, drawn anew by seed."""
    return np.random.default_rng(seed).integers(-1000, 600, shape).astype(np.int16)


def mask_of(seed: int, values: tuple[int, ...] = (1, 2), shape: tuple[int, int, int] = SHAPE) -> NDArray[np.uint8]:
    """One box a value, at places that differ by seed."""
    mask = np.zeros(shape, np.uint8)
    for number, value in enumerate(values):
        mask[1:4, 2 + seed % 5 : 9 + seed % 5, 2 + 8 * number : 8 + 8 * number] = value
    return mask


def write_image(path: Path, array: NDArray[Any], notes: str = "", spacing: tuple[float, ...] = (0.9, 1.2, 3.0)) -> Path:
    """Write an array by SimpleITK, with a text in NIfTI's header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image: Any = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    if notes:
        image.SetMetaData("ITK_FileNotes", notes)
    sitk.WriteImage(image, str(path), useCompression=path.suffix == ".gz")
    return path


def name_in_gzip(path: Path, name: str) -> None:
    """Pack a file again as gzip's program does, with the name of what was packed."""
    content = gzip.decompress(path.read_bytes())
    with path.open("wb") as file, gzip.GzipFile(filename=name, fileobj=file, mode="wb") as packed:
        packed.write(content)


def nnunet_folder(
    folder: Path, cases: int = 6, labels: Mapping[str, Any] | None = None, channels: tuple[str, ...] = ("CT",)
) -> Path:
    """Write an nnU-Net raw data set."""
    for seed in range(cases):
        for number in range(len(channels)):
            write_image(folder / "imagesTr" / f"c{seed}_{number:04d}.nii.gz", image_of(100 * number + seed))
        write_image(folder / "labelsTr" / f"c{seed}.nii.gz", mask_of(seed))
    content = {
        "channel_names": {str(n): name for n, name in enumerate(channels)},
        "labels": labels or {"background": 0, "liver": 1, "tumour": 2},
        "numTraining": cases,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def decathlon_folder(folder: Path, cases: int = 3, modalities: tuple[str, ...] = ("CT",)) -> Path:
    """Write a folder of the medical decathlon, with the hidden files that its archives hold."""
    listed = []
    for seed in range(cases):
        parts = [image_of(100 * number + seed) for number in range(len(modalities))]
        path = folder / "imagesTr" / f"part_{seed:03d}.nii.gz"
        if len(parts) == 1:
            write_image(path, parts[0])
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(part) for part in parts]), str(path))
        write_image(
            folder / "labelsTr" / path.name, mask_of(seed), spacing=(0.9, 1.2, 3.0) if len(parts) == 1 else (1, 1, 1)
        )
        (path.parent / f"._{path.name}").write_bytes(b"Mac OS X")
        listed.append({"image": f"./imagesTr/{path.name}", "label": f"./labelsTr/{path.name}"})
    content = {
        "name": "part",
        "modality": {str(n): name for n, name in enumerate(modalities)},
        "labels": {"0": "background", "1": "liver", "2": "cancer"},
        "numTraining": cases,
        "training": listed,
        "test": [],
    }
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
