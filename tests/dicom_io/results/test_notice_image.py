"""Notices: legal objects of the study, named by what they say, with nothing of the patient but what the images say."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from core.errors import ReasonCode
from dicom_io.images.headers import instance
from dicom_io.results.notice_image import Notice, NoticeKind, build_notice, draw_notice, read_notice_header
from dicom_io.results.seg.build import write_seg
from phantom import make_phantom, trunk_geometry
from phantom.series import write_series
from phantom.tags import StudyTags

REFUSED = Notice("refused", "missing_slice", "A slice is missing inside the series.", ("liver",), "0123456789abcdef")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_series(make_phantom(trunk_geometry((60.0, 8.0, 8.0))), folder, study=StudyTags(name="notice"))
    return folder


@pytest.fixture
def header(images: Path) -> Dataset:
    header = read_notice_header(images)
    assert header is not None
    return header


def build(header: Dataset, notice: Notice = REFUSED, *identity: int) -> Dataset:
    return build_notice(notice, header, str(header.StudyInstanceUID), identity)


@pytest.mark.parametrize("kind", ["refused", "nothing_found", "failed"])
def test_dciodvfy_finds_no_error(header: Dataset, kind: NoticeKind, peer: Callable[[str], str], tmp_path: Path) -> None:
    notice = Notice(kind, "worker_died", "Größe: the worker died. " * 60, ("liver", "lung") * 40, "0123456789abcdef")
    write_seg(build(header, notice), tmp_path / "notice.dcm")
    command = [peer("dciodvfy"), str(tmp_path / "notice.dcm")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a peer found by name
    assert "SCImage" in done.stderr
    assert "Error" not in done.stderr


def test_it_belongs_to_the_study_and_patient_and_has_a_series_of_its_own(header: Dataset) -> None:
    notice = build(header)
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "AccessionNumber", "StudyDate"):
        assert notice[keyword].value == header[keyword].value, keyword
    assert notice.SeriesInstanceUID != header.SeriesInstanceUID
    assert "FrameOfReferenceUID" not in notice


def test_a_patient_whom_the_images_do_not_name_stays_unnamed(header: Dataset) -> None:
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"):
        del header[keyword]
    notice = build(header)
    assert [notice[k].value for k in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex")] == [""] * 4


def test_the_same_notice_has_one_name_and_another_has_another(header: Dataset) -> None:
    first = build(header, REFUSED, 0, 0).SOPInstanceUID
    assert build(header, REFUSED, 0, 0).SOPInstanceUID == first
    others = {
        build(header, REFUSED, 0, 1).SOPInstanceUID,
        build(header, REFUSED, 1, 0).SOPInstanceUID,
        build(header, Notice("failed", "missing_slice", REFUSED.message, ("liver",), "0")).SOPInstanceUID,
    }
    assert len(others | {first}) == 4


@pytest.mark.parametrize("code", ReasonCode)
def test_every_reason_has_a_sentence_that_fits(header: Dataset, code: ReasonCode) -> None:
    notice = Notice("refused", code, code.sentence, ("liver",), "0")
    assert code.sentence in " ".join(notice.lines)
    assert f"Reason code: {code}" in build(header, notice).ImageComments


def test_the_longest_text_stays_on_the_picture() -> None:
    longest = Notice("refused", "missing_slice", "many words " * 500, tuple(f"model{n}" for n in range(100)), "0" * 16)
    picture = draw_notice(longest)
    ink = np.argwhere(picture)
    assert ink.max(axis=0)[0] < picture.shape[0] - 10
    assert ink.max(axis=0)[1] < picture.shape[1] - 10
    assert ink.min(axis=0)[0] > 10


def test_the_picture_shows_nothing_of_the_patient(header: Dataset) -> None:
    before = build(header).PixelData
    header.PatientName, header.PatientID = "CANARY^NAME", "CANARY-ID"
    after = build(header)
    assert after.PixelData == before
    assert "CANARY" not in after.ImageComments


def test_images_of_two_patients_get_no_notice(images: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted(images.iterdir())[:2]):
        image = dcmread(path)
        image.PatientID = f"patient {number}"
        image.save_as(tmp_path / path.name)
    assert read_notice_header(tmp_path) is None


def test_a_file_that_is_no_dicom_is_passed_over(images: Path, tmp_path: Path) -> None:
    (tmp_path / "0.dcm").write_bytes(b"no DICOM")
    assert read_notice_header(tmp_path) is None
    (tmp_path / "1.dcm").write_bytes(next(images.iterdir()).read_bytes())
    assert read_notice_header(tmp_path) is not None


def test_a_header_that_inflates_without_bound_is_passed_over(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = dcmread(next(images.iterdir()))
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    image.TextValue = "x" * 2**17
    image.save_as(tmp_path / "0.dcm", enforce_file_format=True)
    assert read_notice_header(tmp_path) is not None
    monkeypatch.setattr(instance, "MAX_INFLATED_HEADER", 2**16)
    assert read_notice_header(tmp_path) is None
