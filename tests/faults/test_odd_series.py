"""Series that only look damaged, or are so: each is read as it was written, or refused by its reason."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.testing import assert_array_equal
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless

from core.errors import ReasonCode, StudyRejected
from core.study_warning import WarningCode
from dicom_io.results.seg.build import agreement_of, build_seg, write_seg
from phantom.series import make_series, save_series
from phantom.tags import Encoding
from tests.faults.table import FAULT
from tests.support.odd_files import nul_padded, rewrite, save_rewritten, with_streams
from tests.support.seg_cases import context, label_map, read_case
from tests.support.series_faults import several_echoes
from tests.support.series_helpers import config, ct_series, phantom, run

Save = Callable[[list[Dataset], Path], None]
DECIMALS = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleIntercept", "RescaleSlope")


def padded_streams(series: list[Dataset], folder: Path) -> None:
    for number, dataset in enumerate(series):
        dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
        padding = (b"\xff\xff", b"\0" * 30)[number % 2]
        series[number] = with_streams([dataset], lambda stream, padding=padding: stream + padding)[0]
    save_series(series, folder)


def nul_padded_decimals(series: list[Dataset], folder: Path) -> None:
    save_rewritten(series, folder, DECIMALS, nul_padded)


def resent(series: list[Dataset], folder: Path) -> None:
    again = deepcopy(series[2])
    again.InstitutionName = "ANOTHER"
    save_series([*series, again], folder)


def resent_compressed(series: list[Dataset], folder: Path) -> None:
    again = deepcopy(series[2])
    again.compress(JPEG2000Lossless, generate_instance_uid=False)
    save_series([*series, again], folder)


def other_pixels(series: list[Dataset], folder: Path) -> None:
    again = deepcopy(series[2])
    again.PixelData = bytes(len(again.PixelData))
    save_series([*series, again], folder)


def uid_in_two_series(series: list[Dataset], folder: Path) -> None:
    other = deepcopy(series)
    for dataset in other:
        dataset.SeriesInstanceUID += ".1"
    other[2].PixelData = bytes(len(other[2].PixelData))
    save_series(series, folder / "a")
    save_series(other, folder / "b")


def pixels_of_a_larger_image(series: list[Dataset], folder: Path) -> None:
    """As of an image with one row more, whose header says that it has one row less."""
    series[3].PixelData += series[3].PixelData[: 2 * series[3].Columns]
    save_series(series, folder)


def cut_and_padded(series: list[Dataset], folder: Path) -> None:
    padded_streams(series, folder)
    dataset = pydicom.dcmread(folder / "IM0001")
    (cut,) = with_streams([dataset], lambda stream: stream[: len(stream) // 2] + b"\xff" * 40)
    cut.save_as(folder / "IM0001")


def with_scout(series: list[Dataset], folder: Path) -> None:
    scout = deepcopy(series[3])
    scout.SOPInstanceUID = scout.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    scout.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    save_series([*series, scout], folder)


def with_picture(series: list[Dataset], folder: Path) -> None:
    picture = deepcopy(series[3])
    picture.SOPInstanceUID = picture.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    del picture.ImagePositionPatient, picture.ImageOrientationPatient
    save_series([picture, *series], folder)


def without_reference(series: list[Dataset], folder: Path) -> None:
    for dataset in series:
        del dataset.FrameOfReferenceUID
    save_series(series, folder)


def in_turns(series: list[Dataset], folder: Path, *, rising: bool = True) -> None:
    for number, dataset in enumerate(series):
        dataset.AcquisitionNumber = 1 + number % 2
        dataset.AcquisitionTime = f"1000{number if rising else number % 2:02}"
    save_series(series, folder)


def in_turns_of_time(series: list[Dataset], folder: Path) -> None:
    in_turns(series, folder, rising=False)


def two_echoes(series: list[Dataset], folder: Path) -> None:
    save_series(several_echoes(series), folder)


@pytest.mark.parametrize(
    ("name", "save", "expected"),
    [
        ("a scout among the slices", with_scout, (WarningCode.IMAGES_SET_ASIDE,)),
        ("a picture without position among the slices", with_picture, (WarningCode.IMAGES_SET_ASIDE,)),
        ("no frame of reference", without_reference, (WarningCode.FRAME_OF_REFERENCE_DERIVED,)),
        ("acquisition numbers in turns along the table", in_turns, (WarningCode.ACQUISITIONS_JOINED,)),
        ("acquisitions in turns, in time too", in_turns_of_time, ReasonCode.MIXED_ACQUISITION),
        ("two echoes in one series", two_echoes, ReasonCode.SEVERAL_VOLUMES),
        ("padding behind the end of compressed frames", padded_streams, ()),
        ("decimals padded by NUL", nul_padded_decimals, ()),
        ("an image again with another word", resent, (WarningCode.IMAGES_REPEATED, WarningCode.DESCRIPTION_CHANGED)),
        ("an image again in another transfer syntax", resent_compressed, (WarningCode.IMAGES_REPEATED,)),
        ("other pixels under one UID", other_pixels, ReasonCode.DUPLICATE_UID),
        ("images of one UID in two series", uid_in_two_series, ReasonCode.DUPLICATE_UID),
        ("an image with a row more than its header says", pixels_of_a_larger_image, ReasonCode.UNREADABLE_PIXELS),
        ("a frame cut short and padded", cut_and_padded, ReasonCode.TRUNCATED_PIXELS),
    ],
)
def test_a_series_that_looks_damaged(
    name: str,
    save: Save,
    expected: tuple[WarningCode, ...] | ReasonCode,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    record_property(FAULT, name)
    save(make_series(phantom(), encoding=Encoding(signed=False, bits_stored=12)), tmp_path)
    if isinstance(expected, ReasonCode):
        with pytest.raises(StudyRejected) as caught:
            run(tmp_path, config())
        assert caught.value.code is expected
        return
    volume, _ = run(tmp_path, config())
    assert_array_equal(volume.array[0], phantom().array.astype(np.float32))
    assert tuple(warning.code for warning in volume.warnings) == expected


@pytest.mark.filterwarnings("ignore:Unknown encoding:UserWarning")  # pydicom's, before the term is settled
@pytest.mark.filterwarnings("ignore:The value length:UserWarning")  # pydicom's, of the source as it is made
def test_words_that_break_the_standard_reach_the_result(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, "an accession number too long, and a misspelt character set")
    series = ct_series()
    for dataset in series:
        dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 192", "山田^太郎"
        dataset.AccessionNumber = "ABC-2026-000123456789"
    save_series(series, tmp_path / "series")
    for path in (tmp_path / "series").iterdir():
        rewrite(path, "SpecificCharacterSet", lambda value: (b"CS", b"ISO 2022 IR 192 "))
    case = read_case(tmp_path / "series")
    write_seg(build_seg(label_map(case), case.volume, case.sources, context()), tmp_path / "x.dcm")
    seg = pydicom.dcmread(tmp_path / "x.dcm")
    assert (str(seg.PatientName), seg.AccessionNumber) == ("山田^太郎", "ABC-2026-000123456789")
    assert seg.SpecificCharacterSet == "ISO_IR 192"
    (warning,) = agreement_of(case.volume, case.sources).warnings()
    assert warning.message.endswith("They are: AccessionNumber.")
