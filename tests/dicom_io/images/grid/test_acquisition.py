"""Differences that make two acquisitions of a regular stack, and differences that do not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from core.errors import ReasonCode, StudyRejected
from dicom_io.images.grid.geometry import lay_out
from phantom.intensity import Modality
from phantom.series import make_series, save_series
from phantom.tags import Encoding
from tests.support.series_helpers import ct_series, one_study, phantom


def refusal_of(series: list[Dataset], folder: Path) -> StudyRejected | None:
    save_series(series, folder)
    (found,) = one_study(folder).series
    try:
        lay_out(found)
    except StudyRejected as error:
        return error
    return None


def groups(frame: Dataset, sequence: str, **attributes: object) -> None:
    """Give a frame a functional group of its own, or change the one it has."""
    if sequence not in frame:
        setattr(frame, sequence, [Dataset()])
    for keyword, value in attributes.items():
        setattr(getattr(frame, sequence)[0], keyword, value)


@pytest.mark.parametrize(
    ("modality", "sequence", "keyword", "values"),
    [
        ("CT", "FrameContentSequence", "StackID", ("1", "2")),
        ("MR", "FrameContentSequence", "TemporalPositionIndex", (1, 2)),
        ("CT", "FrameContentSequence", "FrameAcquisitionNumber", (1, 2)),
        ("CT", "CTImageFrameTypeSequence", "FrameType", (["ORIGINAL", "PRIMARY", "A"], ["DERIVED", "PRIMARY", "B"])),
        ("CT", "CTXRayDetailsSequence", "KVP", (80.0, 140.0)),
        ("CT", "CTReconstructionSequence", "ConvolutionKernel", ("B30", "B70")),
        ("MR", "MREchoSequence", "EffectiveEchoTime", (2.3, 4.6)),
    ],
)
def test_frames_that_take_turns_are_refused(
    modality: Modality, sequence: str, keyword: str, values: tuple[object, object], tmp_path: Path
) -> None:
    for alternating in (False, True):
        (enhanced,) = make_series(phantom(modality=modality), encoding=Encoding(enhanced=True))
        for number, frame in enumerate(enhanced.PerFrameFunctionalGroupsSequence):
            groups(frame, sequence, **{keyword: values[number % 2 if alternating else 0]})
        error = refusal_of([enhanced], tmp_path / str(alternating))
        assert (error is not None) == alternating
        if error is not None:
            assert error.code is ReasonCode.MIXED_ACQUISITION
            assert "They differ in" in error.detail


@pytest.mark.parametrize(
    ("numbers", "refused"),
    [
        ([1, 1, 1, 1, 2, 2, 2, 2], False),
        ([1, 1, 2, 2, 3, 3, 4, 4], False),
        ([1, 2, 3, 4, 5, 6, 7, 8], False),
        ([1, 2, 1, 2, 1, 2, 1, 2], True),
        ([1, 1, 1, 2, 2, 1, 1, 1], True),
    ],
    ids=str,
)
def test_stations_may_follow_each_other_but_not_take_turns(numbers: list[int], refused: bool, tmp_path: Path) -> None:
    series = ct_series()
    for dataset, number in zip(series, numbers, strict=True):
        dataset.AcquisitionNumber = number
    error = refusal_of(series[::-1], tmp_path)
    assert (error is not None and error.code is ReasonCode.MIXED_ACQUISITION) == refused
    assert (error is not None) == refused


def test_modulated_and_rounded_values_are_ordinary(tmp_path: Path) -> None:
    series = ct_series()
    for number, dataset in enumerate(series):
        dataset.XRayTubeCurrent, dataset.Exposure = 100 + 7 * number, 50 + number
        dataset.AcquisitionTime = f"1015{number:02d}"
        dataset.EchoTime = f"{3.30 + 0.02 * (number % 2):.2f}"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "NORM" if number % 2 else "DIS2D"]
    assert refusal_of(series, tmp_path) is None


@pytest.mark.parametrize("name", ["crlm-ct-1006", "sts-001-ct/dicom", "totalsegmentator/example_ct_dicom"])
def test_real_series_are_one_acquisition(name: str, real_data: Callable[[str], Path]) -> None:
    (series,) = one_study(real_data(name)).series
    lay_out(series)
