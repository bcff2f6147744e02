"""The shipped model on a made patient, from DICOM to SEG, against a truth that no flip leaves unnoticed."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from app.graph_runner import Segmenter
from app.study_run import StudyRun
from phantom.anatomy import make_phantom, trunk_geometry
from phantom.series import write_series
from segmentation.package.package import Package, load_package
from tests.support.seg_cases import decoded_by_dcmqi
from tests.support.series_helpers import DIRECTIONS
from training.recipes.tissue_rule import LABELS, label_tissues

pytestmark = pytest.mark.slow

DEMO = Path(__file__).parents[3] / "models" / "demo"
LARGEST_BYTES = 8_000_000
LOWEST_DICE = {"body": 0.95, "bone": 0.75}
"""On coarse phantoms, with tiles that do not overlap; the wrong side up gives less than 0.5 for bone."""


@pytest.fixture(scope="module")
def package() -> Package:
    """The shipped package, with tiles side by side, for time's sake."""
    shipped = load_package(DEMO)
    inference = shipped.config.inference.model_copy(update={"step_size": 1.0})
    return dataclasses.replace(shipped, config=shipped.config.model_copy(update={"inference": inference}))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_the_shipped_model_is_whole_small_and_marked() -> None:
    shipped = load_package(DEMO)
    assert sum(path.stat().st_size for path in DEMO.rglob("*") if path.is_file()) <= LARGEST_BYTES
    assert "NOT FOR CLINICAL USE" in shipped.config.output.series_description
    assert {label.name: label.value for label in shipped.config.labels} == {
        name: value for name, value in LABELS.items() if value
    }


@pytest.mark.parametrize("plane", ["axial", "sagittal", "feet_first"])
def test_the_mask_lies_on_the_patient_in_every_acquisition(plane: str, package: Package, tmp_path: Path) -> None:
    """The network sees LPS whatever the acquisition; the truth is the rule on the phantom."""
    extent = (200.0, 300.0, 400.0) if plane != "sagittal" else (400.0, 200.0, 300.0)
    geometry = trunk_geometry((5.0, 3.0, 3.0), extent=extent, centre=(0.0, 10.0, 60.0), direction=DIRECTIONS[plane])
    phantom = make_phantom(geometry, phase="P")
    write_series(phantom, tmp_path / "in")
    report = Segmenter({"demo": package}, "cpu").run(StudyRun(tmp_path / "in", tmp_path / "out", ("demo",), nifti=True))
    assert report.outcome == "segmented"
    mask = sitk.ReadImage(str(tmp_path / "out" / report.study / "demo_seg.nii.gz"))
    found = sitk.GetArrayFromImage(sitk.DICOMOrient(mask, "LPS"))

    image = sitk.GetImageFromArray(phantom.array.astype(np.float32))
    image.SetSpacing(geometry.spacing[::-1])
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction.ravel().tolist())
    axial = sitk.DICOMOrient(image, "LPS")
    truth = label_tissues(sitk.GetArrayFromImage(axial), axial.GetSpacing()[::-1])
    for name, lowest in LOWEST_DICE.items():
        value = LABELS[name]
        assert dice(found == value, truth == value) > lowest, name
    turned = truth[:, ::-1, ::-1]
    assert dice(found == LABELS["bone"], turned == LABELS["bone"]) < 0.5


def test_dcmqi_decodes_the_same_voxels(package: Package, tmp_path: Path) -> None:
    geometry = trunk_geometry((10.0, 3.0, 3.0), extent=(120.0, 300.0, 400.0), centre=(0.0, 10.0, 60.0))
    write_series(make_phantom(geometry, phase="P"), tmp_path / "in")
    report = Segmenter({"demo": package}, "cpu").run(StudyRun(tmp_path / "in", tmp_path / "out", ("demo",), nifti=True))
    results = tmp_path / "out" / report.study
    mask = sitk.ReadImage(str(results / "demo_seg.nii.gz"))
    decoded = decoded_by_dcmqi(results / "demo.seg.dcm", tmp_path / "decoded")
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(decoded), sitk.GetArrayViewFromImage(mask))
