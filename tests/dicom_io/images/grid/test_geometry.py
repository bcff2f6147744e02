"""The tolerances, from both sides, and the grid against SimpleITK's where headers are rounded."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pydicom.dataset import Dataset

from core.errors import ReasonCode, StudyRejected
from dicom_io.images.grid.geometry import Layout, lay_out
from dicom_io.images.grid.geometry import layout_of as for_regular_models
from dicom_io.images.headers.instance import Instance
from dicom_io.images.selection.selection import select_series
from dicom_io.images.volume import VolumeReader
from phantom.series import make_series, save_series
from phantom.tags import Encoding
from tests.support.series_faults import tilt
from tests.support.series_helpers import DIRECTIONS, config, ct_series, one_study, phantom, read_with_simpleitk


def layout_of(series: list[Dataset], folder: Path) -> Layout:
    save_series(series, folder)
    (found,) = one_study(folder).series
    return for_regular_models(found)


def code_of(series: list[Dataset], folder: Path) -> ReasonCode | None:
    try:
        layout_of(series, folder)
    except StudyRejected as error:
        return error.code if error.series_uid == series[0].SeriesInstanceUID else None
    return None


def at_heights(heights: list[float]) -> list[Dataset]:
    """Build an axial series with slices at these heights in mm."""
    series = [dataset for _ in range(1 + len(heights) // 8) for dataset in ct_series()][: len(heights)]
    made = [Dataset(dataset) for dataset in series]
    for number, (dataset, height) in enumerate(zip(made, heights, strict=True)):
        dataset.file_meta = series[number].file_meta
        dataset.SOPInstanceUID = f"1.2.3.{number}"
        dataset.ImagePositionPatient = [-100, -100, f"{height:.9f}"]
        dataset.InstanceNumber = number
    return made


@pytest.mark.parametrize(
    ("heights", "code"),
    [
        ([0, 2, 4, 6, 8], None),
        ([8, 6, 4, 2, 0], None),
        ([0, 2, 4, 6.019, 8], None),
        ([0, 2, 4, 6.021, 8], ReasonCode.UNEVEN_SPACING),
        ([0, 2, 4, 6.9, 8.9], ReasonCode.UNEVEN_SPACING),
        ([0, 2, 4, 7.1, 9.1], ReasonCode.MISSING_SLICE),
        ([0, 2, 6], ReasonCode.MISSING_SLICE),
        ([0, 2, 4, 8, 10], ReasonCode.MISSING_SLICE),
        ([0, 2, 4, 4.0005, 6], ReasonCode.DUPLICATE_POSITION),
        ([0, 0, 2, 2, 4, 4], ReasonCode.DUPLICATE_POSITION),
        ([0, 0, 0], ReasonCode.DUPLICATE_POSITION),
        ([0, 2, 4, 4.002, 6], ReasonCode.UNEVEN_SPACING),
        ([5, 10], None),
        ([5], ReasonCode.TOO_FEW_SLICES),
    ],
    ids=str,
)
def test_gaps_are_judged_by_their_tolerances(heights: list[float], code: ReasonCode | None, tmp_path: Path) -> None:
    assert code_of(at_heights(heights), tmp_path) is code


def test_small_deviations_may_not_add_up(tmp_path: Path) -> None:
    """Each gap is within 1 % of the median, but slices in the middle end up half a gap off an even grid."""
    gaps = np.repeat([1.991, 2.009], 60)
    assert code_of(at_heights([0.0, *np.cumsum(gaps)]), tmp_path) is ReasonCode.UNEVEN_SPACING


@pytest.mark.parametrize(
    ("difference", "code"), [(1.9e-3, None), (2.1e-3, ReasonCode.MIXED_ORIENTATION)], ids=["below", "above"]
)
def test_direction_cosines_may_differ_by_their_tolerance(
    difference: float, code: ReasonCode | None, tmp_path: Path
) -> None:
    series = ct_series()
    series[3].ImageOrientationPatient = [1, 0, f"{difference:.6f}", 0, 1, 0]
    assert code_of(series, tmp_path) is code


@pytest.mark.parametrize(("drift", "code"), [(0.19, None), (0.21, ReasonCode.GANTRY_TILT)], ids=["below", "above"])
def test_drift_within_the_plane_has_its_tolerance(drift: float, code: ReasonCode | None, tmp_path: Path) -> None:
    series = ct_series()
    first = [float(x) for x in series[0].ImagePositionPatient]
    for number, dataset in enumerate(series):
        dataset.ImagePositionPatient[1] = f"{first[1] + drift * number / (len(series) - 1):.6f}"
    assert code_of(series, tmp_path) is code


@pytest.mark.parametrize("digits", [3, 4, 6])
def test_rounded_cosines_give_the_directions_of_simpleitk(digits: int, tmp_path: Path) -> None:
    series = make_series(phantom("oblique"), encoding=Encoding())
    cosines = np.round(np.array(series[0].ImageOrientationPatient, float), digits)
    normal = np.cross(cosines[:3], cosines[3:])
    normal /= np.linalg.norm(normal)
    for number, dataset in enumerate(series):
        dataset.ImageOrientationPatient = [f"{c:.{digits}f}" for c in cosines]
        dataset.ImagePositionPatient = [f"{x:.8f}" for x in normal * 30 * number]
    geometry = layout_of(series, tmp_path).geometry
    image = read_with_simpleitk(tmp_path)
    assert geometry.direction.ravel().tolist() == pytest.approx(image.GetDirection(), abs=1e-15)
    assert geometry.spacing[::-1] == pytest.approx(image.GetSpacing(), abs=1e-12)
    assert geometry.origin == image.GetOrigin()


@pytest.mark.parametrize("plane", DIRECTIONS)
def test_slices_ascend_along_the_normal(plane: str, tmp_path: Path) -> None:
    layout = layout_of(make_series(phantom(plane))[::-1], tmp_path)
    positions = layout.frames.positions[layout.order]
    assert (np.diff(positions @ layout.geometry.direction[:, 2]) > 0).all()
    index = np.zeros((len(positions), 3))
    index[:, 0] = np.arange(len(positions))
    assert_allclose(layout.geometry.index_to_lps(index), positions, atol=1e-5)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("RescaleSlope", "one"),
        ("RescaleIntercept", "1\\2"),
        ("ModalityLUTSequence", [Dataset()]),
    ],
)
def test_rescaling_that_is_no_line_is_refused(keyword: str, value: object, tmp_path: Path) -> None:
    series = ct_series()
    save_series(series, tmp_path)
    (found,) = one_study(tmp_path).series
    image = found.instances[2]
    header = image.header
    if isinstance(value, str):
        header[keyword]._value = value  # pydicom would refuse to take it, but reads it from a file
    else:
        setattr(header, keyword, value)
    changed = Instance(image.path, header, image.pixel_offset)
    found = replace(found, instances=(*found.instances[:2], changed, *found.instances[3:]))
    with pytest.raises(StudyRejected) as caught:
        lay_out(found)
    assert caught.value.code is ReasonCode.UNREADABLE_PIXELS


def test_functional_groups_that_are_missing_are_refused(tmp_path: Path) -> None:
    (enhanced,) = make_series(phantom(), encoding=Encoding(enhanced=True))
    enhanced.PerFrameFunctionalGroupsSequence = list(enhanced.PerFrameFunctionalGroupsSequence)[:-1]
    assert code_of([enhanced], tmp_path / "short") is ReasonCode.NO_POSITION
    del enhanced.PerFrameFunctionalGroupsSequence
    assert code_of([enhanced], tmp_path / "none") is ReasonCode.NO_POSITION


@pytest.mark.parametrize(
    ("keyword", "value", "code"),
    [
        ("ImagePositionPatient", "0\\0\\5e307", ReasonCode.NO_POSITION),
        ("ImagePositionPatient", "-1.1e5\\0\\0", ReasonCode.NO_POSITION),
        ("ImageOrientationPatient", "1e300\\0\\0\\0\\1e300\\0", ReasonCode.NO_POSITION),
        ("PixelSpacing", "1e300\\1e300", ReasonCode.INVALID_SPACING),
        ("PixelSpacing", "1e-300\\1", ReasonCode.INVALID_SPACING),
        ("RescaleIntercept", "1e300", ReasonCode.UNREADABLE_PIXELS),
        ("RescaleIntercept", "-1e39", ReasonCode.UNREADABLE_PIXELS),
        ("RescaleSlope", "1e39", ReasonCode.UNREADABLE_PIXELS),
        ("RescaleSlope", "1e-300", ReasonCode.UNREADABLE_PIXELS),
    ],
)
def test_numbers_that_no_scanner_writes_are_refused(keyword: str, value: str, code: ReasonCode, tmp_path: Path) -> None:
    series = ct_series()
    for dataset in series:
        setattr(dataset, keyword, value.split("\\"))
    assert code_of(series, tmp_path) is code


@pytest.mark.parametrize("step", [5e307, 9e4, 2e3])
def test_slices_that_lie_impossibly_far_apart_are_refused(step: float, tmp_path: Path) -> None:
    series = ct_series()[:3]
    for number, dataset in enumerate(series):
        dataset.ImagePositionPatient = [0, 0, f"{(number - 1) * step:.3e}"]
    assert code_of(series, tmp_path) in (ReasonCode.NO_POSITION, ReasonCode.INVALID_SPACING)


@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
@pytest.mark.parametrize(
    ("stated", "thickness", "warned"),
    [
        ("30", "30", False),
        ("-30", "30", False),
        ("28", "30", False),
        ("15", "15", False),  # the gap between faces, as some devices mean it
        ("15", "5", True),
        ("15", "1e308", True),
        ("15", "-15", True),
        ("60", "30", True),
        ("1e308", "30", True),
        ("0", "30", False),
        (None, "30", False),
    ],
    ids=str,
)
def test_a_stated_distance_of_slices_is_held_against_the_measured(
    stated: str | None, thickness: str, warned: bool, enhanced: bool, tmp_path: Path
) -> None:
    series = make_series(phantom(), encoding=Encoding(enhanced=enhanced))
    for dataset in series:
        shared = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0] if enhanced else dataset
        shared.SliceThickness = thickness
        shared.SpacingBetweenSlices = stated
    assert any("SpacingBetweenSlices" in warning.detail for warning in layout_of(series, tmp_path).warnings) == warned


def test_every_second_slice_missing_is_a_warning(tmp_path: Path) -> None:
    series = ct_series()
    for dataset in series:
        dataset.SpacingBetweenSlices, dataset.SliceThickness = "30", "5"
    assert layout_of(series, tmp_path / "whole").warnings == ()
    numbers, spacing = layout_of(series[::2], tmp_path / "half").warnings
    assert "3 missing" in numbers.detail
    assert "evenly throughout" in numbers.detail
    assert "60.000 mm apart, but SpacingBetweenSlices says 30.000 mm" in spacing.detail


@pytest.mark.parametrize("good", [True, False], ids=["grid", "refusal"])
def test_a_series_is_laid_out_once_for_all_models(good: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = ct_series()
    save_series(write if good else tilt(write), tmp_path)
    calls = []
    monkeypatch.setattr("dicom_io.images.grid.geometry.lay_out", lambda series: calls.append(series) or lay_out(series))
    study, reader = one_study(tmp_path), VolumeReader()
    for _ in range(3):
        selection = select_series(study, config())
        if good:
            reader.read(study, config(), selection)
        else:
            assert selection.rejection is not None
            assert selection.rejection.code is ReasonCode.GANTRY_TILT
    assert len(calls) == 1
