"""Every reason code that a study can be refused for, made and found; and no text that names a patient."""

import inspect
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from core.errors import ReasonCode, StudyRejected
from core.model_config import SeriesRule
from dicom_io.images.selection.selection import select_series
from dicom_io.images.study import read_studies
from phantom.series import make_series, save_series, write_series
from phantom.tags import SeriesTags, StudyTags
from tests.dicom_io.images.pixels.suv import test_pet_scale
from tests.dicom_io.results.seg import test_build as test_seg
from tests.dicom_io.results.seg import test_read_back as test_seg_read
from tests.segmentation.inference import test_memory_estimate as test_memory
from tests.segmentation.preprocessing import test_preprocess as test_preprocessing
from tests.segmentation.preprocessing import test_resampling
from tests.support.series_faults import FAULTS, Fault, empty_uid, tilt
from tests.support.series_helpers import config, ct_series, one_study, phantom, rejection_of, run

CASES = [(code, fault) for code, faults in FAULTS.items() for fault in faults]


@pytest.mark.parametrize(("code", "fault"), CASES, ids=[fault.__name__ for _, fault in CASES])
def test_a_broken_series_is_refused_with_its_code(code: ReasonCode, fault: Fault, tmp_path: Path) -> None:
    save_series(fault(ct_series()), tmp_path)
    error = rejection_of(tmp_path, config())
    assert error.code is code, error


@pytest.mark.parametrize(("code", "fault"), CASES, ids=[fault.__name__ for _, fault in CASES])
def test_no_message_names_the_patient(code: ReasonCode, fault: Fault, tmp_path: Path) -> None:
    broken = fault(ct_series(description="Phantom^Made PHANTOM-1 CT"))
    folder = tmp_path / "Phantom^Made"
    save_series(broken, folder)
    error = rejection_of(folder, config())
    decisions = select_series(one_study(folder), config(SeriesRule(modality=("CT",), description=("none",)))).decisions
    for words in (str(error), error.message, repr(error.args), *(d.reason for d in decisions)):
        for secret in ("Phantom", "Made", "PHANTOM-1", "OTHER-PATIENT", "Other", "19700101"):
            assert secret not in words, code


def test_the_good_series_is_not_refused(tmp_path: Path) -> None:
    save_series(ct_series(), tmp_path)
    volume, _ = run(tmp_path, config())
    assert volume.warnings == ()


@pytest.mark.parametrize("degrees", [0.02, 0.1, 1.0])
def test_tilt_is_judged_by_drift_in_millimetres(degrees: float, tmp_path: Path) -> None:
    save_series(tilt(ct_series(), degrees), tmp_path)
    if degrees < 0.05:  # 0.07 mm over the 210 mm of the phantom, less than the tolerance
        run(tmp_path, config())
    else:
        assert rejection_of(tmp_path, config()).code is ReasonCode.GANTRY_TILT


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_every_identifier_is_needed(keyword: str, tmp_path: Path) -> None:
    for number, dataset in enumerate(empty_uid(ct_series(), keyword)):
        dataset.save_as(tmp_path / f"{number}.dcm", implicit_vr=False, little_endian=True)
    error = rejection_of(tmp_path, config())
    assert error.code is ReasonCode.EMPTY_UID
    assert keyword in error.detail


def test_a_frame_of_reference_is_needed_by_every_image_or_by_none(tmp_path: Path) -> None:
    series = ct_series()
    series[2].FrameOfReferenceUID = ""
    save_series(series, tmp_path)
    error = rejection_of(tmp_path, config())
    assert (error.code, error.detail) == (ReasonCode.EMPTY_UID, f"FrameOfReferenceUID: 1 of {len(series)} images.")


def test_an_invalid_study_uid_never_becomes_a_name(tmp_path: Path) -> None:
    for dataset in (series := ct_series()):
        dataset.StudyInstanceUID = "../../1.2"
    save_series(series, tmp_path)
    assert one_study(tmp_path).uid == ""


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(StudyRejected) as caught:
        read_studies(tmp_path)
    assert caught.value.code is ReasonCode.NO_DICOM


def test_a_study_without_a_fitting_series_is_refused(tmp_path: Path) -> None:
    save_series(ct_series(), tmp_path)
    rule = SeriesRule(modality=("CT",), description=("head",))
    assert rejection_of(tmp_path, config(rule)).code is ReasonCode.NO_MATCHING_SERIES


def test_channels_on_other_grids_are_refused(tmp_path: Path) -> None:
    write_series(phantom(), tmp_path / "a", series=SeriesTags(number=1))
    write_series(phantom(spacing=(24.0, 6.0, 9.0)), tmp_path / "b", series=SeriesTags(number=2))
    rules = (SeriesRule(modality=("CT",)),) * 2
    assert rejection_of(tmp_path, config(*rules)).code is ReasonCode.GRIDS_DIFFER


def test_patients_of_two_series_are_not_one_study(tmp_path: Path) -> None:
    write_series(phantom(), tmp_path / "a")
    other = make_series(phantom(), series=SeriesTags(number=2))
    for dataset in other:
        dataset.PatientID = "OTHER-PATIENT"
    save_series(other, tmp_path / "b")
    assert rejection_of(tmp_path, config()).code is ReasonCode.MIXED_PATIENTS


@pytest.mark.parametrize("fault", [FAULTS[ReasonCode.MISSING_SLICE][0], FAULTS[ReasonCode.TRUNCATED_PIXELS][0]])
def test_a_refused_series_gives_way_to_the_next_that_fits(fault: Fault, tmp_path: Path) -> None:
    study = StudyTags()
    save_series(fault(make_series(phantom(), study=study, series=SeriesTags(number=1))), tmp_path / "broken")
    good = write_series(phantom(), tmp_path / "good", study=study, series=SeriesTags(number=2))
    volume, selection = run(tmp_path, config())
    assert volume.series_uids == (good.series_uid,)
    assert sorted(d.decision for d in selection.decisions) == ["refused", "taken"]
    shutil.rmtree(good.folder)
    assert rejection_of(tmp_path, config()).code in FAULTS


ELSEWHERE: Mapping[ReasonCode, Callable[..., None]] = {
    ReasonCode.GRIDS_DIFFER: test_channels_on_other_grids_are_refused,
    ReasonCode.NO_MATCHING_SERIES: test_a_study_without_a_fitting_series_is_refused,
    ReasonCode.NO_DICOM: test_a_folder_without_dicom_is_refused,
    ReasonCode.SEG_MISMATCH: test_seg_read.test_one_voxel_more_or_less_is_a_mismatch,
    ReasonCode.TOO_SMALL: test_resampling.test_an_image_smaller_than_half_a_voxel_is_refused,
    ReasonCode.COLOUR_RANGE: test_preprocessing.test_rgb_and_its_range,
    ReasonCode.NO_SUV: test_pet_scale.test_a_series_is_named_by_its_uid,
    ReasonCode.TOO_LARGE: test_memory.test_an_image_that_no_empty_machine_holds_is_refused_with_figures,
    ReasonCode.SEG_TOO_LARGE: test_seg.test_an_object_too_large_for_one_file_says_what_to_do,
}
"""The test of each code that no fault of one series gives."""


def test_every_code_has_a_test() -> None:
    assert set(FAULTS) | set(ELSEWHERE) == set(ReasonCode)
    assert not set(FAULTS) & set(ELSEWHERE)
    for code, test in ELSEWHERE.items():
        assert f"ReasonCode.{code.name}" in inspect.getsource(test)
