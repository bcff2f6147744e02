"""Series, masks and manifests that the tests of SEG, overlay and NIfTI share."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # its documentation's own name
from numpy.typing import NDArray

from core.label_map import LabelMap
from core.model_config import Channel, Code, LabelSpec, ModelConfig, Output, SeriesRule
from core.volume import Geometry, Volume
from dicom_io.images.headers.instance import Instance
from dicom_io.images.study import read_studies
from dicom_io.images.volume import read_volume
from dicom_io.results.seg.build import SegContext
from phantom.anatomy import make_phantom
from phantom.series import write_series
from phantom.tags import Encoding, SeriesTags, StudyTags

SHA256 = "ab" * 32
LABELS = (
    LabelSpec(value=1, name="liver", colour=(200, 40, 30), type=Code(value="10200004", scheme="SCT", meaning="Liver")),
    LabelSpec(value=2, name="spleen", colour=(60, 90, 220)),
    LabelSpec(
        value=4,
        name="right kidney",
        colour=(250, 220, 60),
        type=Code(value="64033007", scheme="SCT", meaning="Kidney"),
        laterality=Code(value="24028007", scheme="SCT", meaning="Right"),
    ),
    LabelSpec(value=7, name="absent", colour=(0, 255, 0)),
)


@dataclass(frozen=True)
class Case:
    """A series as the graph has it."""

    volume: Volume
    sources: tuple[Instance, ...]


def read_case(folder: Path) -> Case:
    """The volume and the instances of the only series in a folder."""
    (study,) = read_studies(folder)
    (series,) = study.series
    return Case(read_volume(series), tuple(series.instances))


def made_case(
    folder: Path,
    direction: Any = None,
    *,
    spacing: tuple[float, float, float] = (4.0, 1.7, 1.3),
    shape: tuple[int, int, int] = (9, 41, 53),
    enhanced: bool = False,
    study: StudyTags | None = None,
    modality: Any = "CT",
) -> Case:
    """A phantom's series on a small grid whose frames do not fill whole bytes."""
    turn = np.eye(3) if direction is None else np.asarray(direction, dtype=np.float64)
    half = (np.array(shape) - 1) / 2 * np.array(spacing)
    origin = np.array([3.0, -7.0, 11.0]) - turn @ half[::-1]
    geometry = Geometry(shape, spacing, tuple(float(v) for v in origin), turn)  # type: ignore[arg-type]  # three values
    write_series(
        make_phantom(geometry, modality=modality),
        folder,
        study=study or StudyTags(),
        series=SeriesTags(number=3),
        encoding=Encoding(enhanced=enhanced),
    )
    return read_case(folder)


def asymmetric_mask(shape: tuple[int, ...], seed: int = 0, dtype: type[np.generic] = np.uint8) -> NDArray[Any]:
    """Labels 1, 2 and 4, different under every flip and turn; the first slices and one in the middle are empty."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, dtype)
    mask[2:, : shape[1] // 2, : shape[2] // 3] = 1
    mask[3:-1, shape[1] // 3 : shape[1] // 2 + 3, shape[2] // 2 : -2] = 2
    mask[-2:, -5:-1, 2:9] = 4
    mask[(rng.random(shape) < 0.03) & (mask > 0)] = 2
    mask[shape[0] // 2] = 0
    return mask


def label_map(case: Case, mask: NDArray[Any] | None = None, labels: tuple[LabelSpec, ...] = LABELS) -> LabelMap:
    """A label map on the case's grid, of the asymmetric mask unless another is given."""
    shape = case.volume.geometry.shape
    return LabelMap(asymmetric_mask(shape) if mask is None else mask, case.volume.geometry, labels)


def context(
    labels: tuple[LabelSpec, ...] = LABELS,
    *,
    sha256: str = SHA256,
    version: str = "0.1.0",
    revision: int = 0,
    name: str = "organs",
    **output: Any,
) -> SegContext:
    """A model's context with the given output settings."""
    config = ModelConfig(
        schema=1,
        name=name,
        version="2026.1",
        orientation="acquired",
        channels=(Channel(name="CT", series=SeriesRule(modality=("CT",))),),
        labels=labels,
        output=Output(**output),
    )
    return SegContext(config, sha256, version, revision)


def decoded_by_dcmqi(path: Path, folder: Path) -> sitk.Image:
    """Segment numbers as dcmqi's decoder, which knows nothing of highdicom or pydicom, gives them."""
    program = Path(sys.executable).with_name("segimage2itkimage")
    folder.mkdir()
    command = [program, "--inputDICOM", path, "--outputDirectory", folder, "-t", "nrrd", "--mergeSegments"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)  # noqa: S603 - in this environment
    assert done.returncode == 0, done.stdout + done.stderr
    (image,) = folder.glob("*.nrrd")
    return sitk.ReadImage(str(image))
