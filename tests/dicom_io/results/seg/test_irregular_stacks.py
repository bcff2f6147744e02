"""SEGs of tilted and uneven stacks: each frame lies on its source, and nothing says that frames are evenly spaced."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from core.errors import ReasonCode, StudyRejected
from core.label_map import LabelMap
from core.model_config import ModelConfig, SeriesRule, Smooth
from core.volume import Volume
from dicom_io.images.grid.geometry import layout_of
from dicom_io.images.headers.series import Series
from dicom_io.images.selection.selection import WOULD_RUN, select_series
from dicom_io.images.volume import read_volume
from dicom_io.results.seg.build import SegContext, build_seg, read_seg, verify_seg, write_seg
from phantom.series import save_series
from tests.support.series_faults import Fault, drop_slice, duplicate_position, mixed_orientation, tilt, uneven
from tests.support.series_helpers import config, ct_series, one_study


def any_geometry(**changes: object) -> ModelConfig:
    return config().model_copy(update={"geometry": "any", **changes})


def uneven_runs(series: list[Dataset]) -> list[Dataset]:
    """Move the upper half of a series apart: its distances and thickness are half as large again."""
    made, first = [], [float(x) for x in series[0].ImagePositionPatient]
    for number, dataset in enumerate(series):
        height = 30.0 * min(number, 3) + 45.0 * max(0, number - 3)
        dataset.ImagePositionPatient = [first[0], first[1], f"{first[2] + height:.4f}"]
        dataset.SliceThickness = "30" if number <= 3 else "45"
        made.append(dataset)
    return made


def read(series: list[Dataset], folder: Path) -> tuple[Series, Volume]:
    save_series(series, folder)
    (found,) = one_study(folder).series
    return found, read_volume(found, geometry="any")


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize(
    ("break_it", "said"), [(tilt, "tilt corrected"), (uneven_runs, "uneven spacing")], ids=["tilted", "uneven"]
)
def test_each_frame_lies_on_its_source(break_it: Fault, said: str, kind: str, tmp_path: Path) -> None:
    series, volume = read(break_it(ct_series()), tmp_path / "in")
    assert not volume.geometry.is_regular
    array = (volume.array[0] > 0).astype(np.uint8)
    model = any_geometry()
    model = model.model_copy(update={"output": model.output.model_copy(update={"segmentation_type": kind})})
    label_map = LabelMap(array, volume.geometry, model.labels)
    seg = build_seg(label_map, volume, series.instances, SegContext(model, "0" * 64, "1"))
    path = tmp_path / "out.dcm"
    write_seg(seg, path)
    verify_seg(path, label_map)
    content = read_seg(path)
    assert content.dataset.SeriesDescription == f"test ({said})"
    assert "DimensionOrganizationType" not in content.dataset
    assert "SpacingBetweenSlices" not in content.dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    positions = {str(i.header.SOPInstanceUID): i.header.ImagePositionPatient for i in series.instances}
    for number, frame in enumerate(content.frames):
        source = content.source(number)
        assert source is not None
        assert np.allclose(frame.position, positions[source[0]], atol=1e-6)
    assert content.mask(1).sum() == array.sum()


@pytest.mark.parametrize("break_it", [tilt, uneven_runs])
def test_only_a_model_of_any_geometry_takes_such_a_series(break_it: Fault, tmp_path: Path) -> None:
    save_series(break_it(ct_series()), tmp_path)
    refused = select_series(one_study(tmp_path), config()).rejection
    assert refused is not None
    assert refused.message.endswith(WOULD_RUN)
    assert select_series(one_study(tmp_path), any_geometry()).rejection is None
    smoothed = any_geometry(postprocessing=(Smooth(step="smooth", sigma_mm=1),))
    rejection = select_series(one_study(tmp_path), smoothed).rejection
    assert rejection is not None
    assert "smooth" in rejection.message
    of_grids = select_series(one_study(tmp_path), smoothed.model_copy(update={"geometry": "regular"}))
    assert of_grids.rejection is not None
    assert WOULD_RUN not in of_grids.rejection.message  # the step would refuse it
    assert all(WOULD_RUN not in one.reason for one in of_grids.decisions)
    with pytest.raises(StudyRejected):
        read_volume(one_study(tmp_path).series[0])


def turning(series: list[Dataset]) -> list[Dataset]:
    """Turn each slice by half a degree against the one before."""
    made = deepcopy(series)
    for number, dataset in enumerate(made):
        angle = np.radians(number / 2)
        dataset.ImageOrientationPatient = [1, 0, 0, 0, round(float(np.cos(angle)), 6), round(float(np.sin(angle)), 6)]
    return made


FAULTS_ON_A_TILT: tuple[Fault, ...] = (drop_slice, uneven, duplicate_position, mixed_orientation, turning)


@pytest.mark.parametrize("fault", FAULTS_ON_A_TILT)
@pytest.mark.parametrize("tilted", [False, True], ids=["straight", "tilted"])
def test_nothing_is_promised_for_a_stack_that_stays_refused(fault: Fault, tilted: bool, tmp_path: Path) -> None:
    save_series(fault(tilt(ct_series()) if tilted else ct_series()), tmp_path)
    for model in (config(), any_geometry()):
        found = select_series(one_study(tmp_path), model)
        assert found.rejection is not None
        assert all("would run" not in said for said in (found.rejection.message, *(d.reason for d in found.decisions)))


def test_a_second_channel_that_does_not_fit_keeps_the_study_refused(tmp_path: Path) -> None:
    """A tilted series beside a straight one: with any geometry their grids would differ."""
    save_series(tilt(ct_series(description="first")), tmp_path / "1")
    save_series(ct_series(description="second", number=4), tmp_path / "2")
    two = config(*(SeriesRule(modality=("CT",), description=(name,)) for name in ("first", "second")))
    found = select_series(one_study(tmp_path), two)
    assert found.rejection is not None
    assert found.rejection.code is ReasonCode.GANTRY_TILT
    assert "would run" not in found.rejection.message


def test_volumes_of_a_real_tilted_series_follow_the_normal(real_data: Callable[[str], Path]) -> None:
    """Spacing Between Slices says 2.5 mm, the way of the table; slices lie 2.371 mm apart."""
    (series,) = one_study(real_data("head-tilt-philips")).series
    geometry = layout_of(series, "any").geometry
    assert geometry.stack is not None
    assert str(geometry.stack) == "gantry tilt of 18.5 degrees"
    assert geometry.stack.shares == pytest.approx(2.5 * np.cos(np.radians(18.5)), abs=1e-3)
    array = np.ones(geometry.shape, np.uint8)
    volume_ml = LabelMap(array, geometry, config().labels).volumes_ml()["organ"]
    assert volume_ml == pytest.approx(array.size * 2.3708 * 0.482421875**2 / 1000, rel=1e-4)
    with pytest.raises(StudyRejected) as caught:
        layout_of(series)
    assert caught.value.code is ReasonCode.GANTRY_TILT
