"""Masks and SEGs of tilted folders of DICOM: both from one run's logits, each at its own points."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import yaml

from core.regular_grid import regular_grid
from core.volume import Geometry, Volume
from dicom_io.images.study import read_studies
from dicom_io.images.volume import combine_channels, read_volume
from dicom_io.results.seg.build import read_seg
from phantom import Phase, make_phantom
from phantom.series import make_series, save_series
from segmentation.inference.engine import Engine
from segmentation.inference.model_pool import ModelPool
from segmentation.package.package import load_package
from segmentation.postprocessing.steps import postprocess
from services.aliases import Aliases
from services.settings import load_service_settings
from services.worker.task_models import Packages
from tests.services.worker.test_segment_job import Jobs
from tests.support.series_faults import tilt
from tests.support.service_cases import ALIASES, make_models
from tests.support.service_process import ServiceProcess

GRID = Geometry((10, 24, 24), (3.0, 1.5, 1.5), (20.0, -10.0, 0.0), np.eye(3))
TASKS: dict[str, dict[str, Phase]] = {
    "ureter": {"image_D_path": "D"},
    "vessel": {"image_A_path": "A", "image_P_path": "P"},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_models(tmp_path_factory.mktemp("models"))
    for path in folder.glob("*/model.yaml"):
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"geometry": "any"}))
    return folder


@pytest.fixture(scope="module")
def warm(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Packages, ModelPool]:
    folder = tmp_path_factory.mktemp("service")
    settings = load_service_settings(ServiceProcess(folder, folder, models, ALIASES).config)
    return Packages(Aliases(settings)), ModelPool("cpu")


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Three phases of a made patient under a tilted gantry."""
    for phase in ("A", "P", "D"):
        save_series(tilt(make_series(make_phantom(GRID, phase=phase)), 18.5), tmp_path / "cases" / "0001" / phase)
    return tmp_path / "cases"


@pytest.fixture
def jobs(volume: Path, warm: tuple[Packages, ModelPool]) -> Jobs:
    return Jobs(volume, warm)


def fields_of(task: str) -> dict[str, str]:
    return {field: f"cases:0001/{phase}" for field, phase in TASKS[task].items()}


def stack_of(task: str, volume: Path) -> Volume:
    folders = [volume / "0001" / phase for phase in TASKS[task].values()]
    return combine_channels([read_volume(read_studies(one)[0].series[0], geometry="any") for one in folders], "refuse")


@pytest.mark.parametrize("task", TASKS)
def test_the_mask_lies_on_the_regular_grid_and_the_seg_on_its_slices(
    task: str, jobs: Jobs, volume: Path, models: Path
) -> None:
    found = jobs.run(task=task, **fields_of(task), output=["dicom_seg"])[task]
    stack, package = stack_of(task, volume), load_package(models / ALIASES[task])
    assert not stack.geometry.is_regular
    expected = Engine(package, "cpu").segment(stack, regular_too=True)
    assert expected.regular is not None
    folder = volume / "0001" / "mask"
    mask = sitk.ReadImage(str(folder / Path(found.mask_path).name))
    labels = postprocess(expected.regular, package.config.postprocessing)
    assert len(np.unique(labels.array)) > 2
    assert np.array_equal(sitk.GetArrayFromImage(mask), labels.array)
    assert found.volumes_ml == labels.volumes_ml()
    corners = [(0, 0, 0), [size - 1 for size in mask.GetSize()]]
    ends = regular_grid(stack.geometry).index_to_lps([(0, 0, 0), np.array(labels.array.shape) - 1])
    assert np.allclose([mask.TransformIndexToPhysicalPoint(corner) for corner in corners], ends, atol=1e-3)
    seg = read_seg(folder / Path(found.seg_path or "").name)
    own = postprocess(expected.label_map, package.config.postprocessing)
    for label in own.labels:
        assert seg.mask(label.value).sum() == (own.array == label.value).sum()
    at = {tuple(np.round(place, 3)) for place in stack.geometry.slice_positions}
    assert {tuple(np.round(frame.position, 3)) for frame in seg.frames} <= at


def test_registration_brings_tilted_images_to_a_regular_grid_without_a_seg(jobs: Jobs, volume: Path) -> None:
    rigid = {**fields_of("vessel"), "registration": "rigid"}
    assert jobs.refused(task="vessel", **rigid, output=["dicom_seg"]) == "invalid_request"
    assert jobs.reads == 0
    found = jobs.run(task="vessel", **rigid)["vessel"]
    mask = sitk.ReadImage(str(volume / "0001" / "mask" / Path(found.mask_path).name))
    assert mask.GetSize()[::-1] == regular_grid(stack_of("vessel", volume).geometry).shape
