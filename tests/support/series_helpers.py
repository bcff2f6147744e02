"""Small phantoms as series, and manifests with one rule a channel."""

from functools import cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from core.errors import StudyRejected
from core.model_config import Channel, LabelSpec, ModelConfig, SeriesRule
from core.volume import Volume
from dicom_io.images.selection.selection import Selection, select_series
from dicom_io.images.study import Study, read_studies
from dicom_io.images.volume import VolumeReader
from phantom import Phantom, make_phantom, trunk_geometry
from phantom.intensity import Modality, Phase
from phantom.series import make_series
from phantom.tags import Encoding, SeriesTags, StudyTags

DIRECTIONS = {
    "axial": np.eye(3),
    "sagittal": np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]]),
    "coronal": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "oblique": Rotation.from_euler("xyz", [20, 35, -50], degrees=True).as_matrix(),
    "feet_first": np.array([[-1, 0, 0], [0, 1, 0], [0, 0, -1]]),
}
"""Direction matrices by name; all are rotations."""


@cache
def phantom(
    plane: str = "axial",
    modality: Modality = "CT",
    phase: Phase | None = None,
    spacing: tuple[float, float, float] = (30.0, 6.0, 9.0),
    seed: int = 0,
) -> Phantom:
    """Build a coarse phantom, once; do not change its arrays."""
    extent = (240.0, 204.0, 315.0)
    geometry = trunk_geometry(spacing, extent=extent, direction=DIRECTIONS[plane])
    return make_phantom(geometry, modality=modality, phase=phase, seed=seed)


def ct_series(**tags: object) -> list[Dataset]:
    """Datasets of a small axial CT."""
    return make_series(phantom(), study=StudyTags(), series=SeriesTags(**tags), encoding=Encoding())  # type: ignore[arg-type]


def config(*rules: SeriesRule, on_other_grid: str = "refuse") -> ModelConfig:
    """Build a ``model.yaml`` with one channel a rule; without any, one that takes every CT."""
    rules = rules or (SeriesRule(modality=("CT",)),)
    return ModelConfig.model_validate(
        {
            "schema": 1,
            "name": "test",
            "orientation": "acquired",
            "channels": tuple(Channel(name=f"c{index}", series=rule) for index, rule in enumerate(rules)),
            "on_other_grid": on_other_grid,
            "labels": (LabelSpec(value=1, name="organ"),),
        }
    )


def one_study(folder: Path) -> Study:
    """Read the only study of a folder."""
    (study,) = read_studies(folder)
    return study


def run(folder: Path, model: ModelConfig) -> tuple[Volume, Selection]:
    """Go the whole way from a folder to a volume; the first rejection is raised."""
    study = one_study(folder)
    selection = select_series(study, model)
    if selection.rejection is not None:
        raise selection.rejection
    return VolumeReader().read(study, model, selection)


def rejection_of(folder: Path, model: ModelConfig) -> StudyRejected:
    """Reason why a folder is refused."""
    try:
        run(folder, model)
    except StudyRejected as error:
        return error
    raise AssertionError("the study was not refused")


def read_with_simpleitk(folder: Path) -> sitk.Image:
    """Read the only series of a folder as nnU-Net's users do."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()
