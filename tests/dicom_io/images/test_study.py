"""Folders of any shape, and files that mean no good."""

import errno
import os
import resource
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from shutil import copy

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import (
    BasicTextSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from core.errors import ReasonCode, RetryLater, StudyRejected
from core.study_warning import WarningCode
from dicom_io.images.headers.copies import keywords_of
from dicom_io.images.headers.inflate import MAX_INFLATED_HEADER, InflateLimitError, InflatingFile
from dicom_io.images.headers.instance import Instance, read_instance
from dicom_io.images.headers.series import Series
from dicom_io.images.selection.selection import select_series
from dicom_io.images.study import read_studies
from dicom_io.images.volume import read_volume
from phantom.series import make_series, save_series, write_series
from phantom.tags import Encoding, SeriesTags, StudyTags
from tests.support.odd_files import rewrite
from tests.support.series_helpers import config, ct_series, one_study, phantom, run


def test_a_folder_of_any_shape_is_grouped_by_study_and_series(tmp_path: Path) -> None:
    first, second = StudyTags(), StudyTags(name="second")
    ct = write_series(phantom(), tmp_path / "deep" / "er" / "ct", study=first)
    other = write_series(phantom(), tmp_path / "b", study=first, series=SeriesTags(number=2))
    mr = write_series(phantom(modality="MR"), tmp_path / "b", study=second)  # the same names: replaced by the MR
    other = write_series(phantom(), tmp_path / "c", study=first, series=SeriesTags(number=2))
    (tmp_path / "deep" / "readme.txt").write_text("words")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG" + bytes(300))
    (tmp_path / "ends_early").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "loop").symlink_to(tmp_path)
    studies = {study.uid: {s.uid: len(s.instances) for s in study.series} for study in read_studies(tmp_path)}
    assert studies == {
        first.uid: {ct.series_uid: 8, other.series_uid: 8},
        second.uid: {mr.series_uid: 8},
    }


def test_a_folder_that_cannot_be_opened_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by its permissions: the tests may run as root."""
    series = ct_series()
    save_series(series[:6], tmp_path / "a")
    save_series(series[6:], tmp_path / "closed")
    listed = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    study = one_study(tmp_path)
    assert [(a.reason, a.count) for a in study.set_aside] == [("cannot be read: the folder cannot be opened", 1)]
    volume, selection = run(tmp_path, config())
    assert [(one.code, one.series_uid, one.detail) for one in volume.warnings] == [
        (
            WarningCode.FILES_UNREADABLE,
            volume.series_uids[0],
            "1 image could not be read. Images of this series may be among them.",
        )
    ]
    assert "set_aside" in [d.decision for d in selection.decisions]
    with pytest.raises(StudyRejected) as caught:
        read_studies(tmp_path / "closed")
    assert "1 image could not be read." in caught.value.detail


def test_progress_ends_with_all_files(tmp_path: Path) -> None:
    write_series(phantom(), tmp_path)
    seen: list[tuple[int, int]] = []
    read_studies(tmp_path, lambda done, total: seen.append((done, total)))
    assert seen == [(n, 8) for n in range(1, 9)]


def test_a_dicomdir_is_an_index_and_not_an_image(peer: Callable[[str], str], tmp_path: Path) -> None:
    write_series(phantom(), tmp_path / "IMAGES")
    command = [peer("dcmmkdir"), "--recurse", "--general-purpose", "IMAGES"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)  # noqa: S603 - a program of this machine
    assert (tmp_path / "DICOMDIR").exists()
    study = one_study(tmp_path)
    assert study.set_aside == ()
    assert_readable(study)


def test_objects_that_are_no_images_are_set_aside_and_named(tmp_path: Path) -> None:
    series = ct_series()
    localizer = make_series(
        phantom("coronal"), series=SeriesTags(number=7, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    )
    for dataset in localizer[:2]:  # inside the series of the images, as some scanners do
        dataset.SeriesInstanceUID = series[0].SeriesInstanceUID
    report, segmentation, colour, odd = (deepcopy(series[0]) for _ in range(4))
    for number, (dataset, sop_class) in enumerate(
        ((report, BasicTextSRStorage), (segmentation, SegmentationStorage), (odd, "1.2.3.4"))
    ):
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        dataset.SeriesInstanceUID = f"1.2.{number}"
    colour.SamplesPerPixel, colour.SeriesInstanceUID = 3, "1.2.9"
    save_series([*series, *localizer[:2], report, segmentation, odd, colour], tmp_path)
    study = one_study(tmp_path)
    assert [len(s.instances) for s in study.series] == [8]
    assert {(a.series_uid, a.reason, a.count) for a in study.set_aside} == {
        (series[0].SeriesInstanceUID, "a localizer", 2),
        ("1.2.0", "Basic Text SR Storage", 1),
        ("1.2.1", "Segmentation Storage", 1),
        ("1.2.2", "an object of unknown SOP class", 1),
        ("1.2.9", "a colour image", 1),
    }
    decisions = select_series(study, config()).decisions
    assert sorted(d.decision for d in decisions) == ["set_aside"] * 5 + ["taken"]
    assert_readable(study)


def test_a_study_of_reports_alone_is_refused_and_names_them(tmp_path: Path) -> None:
    report = ct_series()[0]
    report.SOPClassUID = BasicTextSRStorage
    save_series([report], tmp_path)
    selection = select_series(one_study(tmp_path), config())
    assert selection.rejection is not None
    assert selection.rejection.code is ReasonCode.NO_MATCHING_SERIES
    assert "Basic Text SR" in selection.decisions[0].reason


def test_identical_repeats_count_once(tmp_path: Path) -> None:
    files = write_series(phantom(), tmp_path / "a").files
    for number, path in enumerate(files):
        copy(path, tmp_path / f"again{number}")
    write_series(phantom(), tmp_path / "compressed")
    for path in (tmp_path / "compressed").iterdir():
        recompress(path)
    (series,) = one_study(tmp_path).series
    assert len(series.instances) == 8
    assert series.repeats == 16
    volume, _ = run(tmp_path, config())
    assert "16 files repeat" in volume.warnings[0].detail


FIRST, SECOND = ("20260301", "101500"), ("20260302", "")


@pytest.mark.parametrize("compressed", [False, True], ids=["same syntax", "compressed"])
@pytest.mark.parametrize("name", ["IM0003_again", "A_again"], ids=["later path", "earlier path"])
@pytest.mark.parametrize(
    ("known", "again", "taken"),
    [
        (("", ""), ("", ""), "by path"),
        (FIRST, SECOND, "again"),
        (SECOND, FIRST, "known"),
        (FIRST, ("", ""), "by path"),
        (FIRST, (FIRST[0], "101500.1"), "again"),
        (FIRST, (FIRST[0], "10"), "known"),
        (FIRST, FIRST, "by path"),
    ],
)
def test_an_image_with_another_word_counts_once_by_the_header_that_was_written_last(
    known: tuple[str, str], again: tuple[str, str], taken: str, name: str, compressed: bool, tmp_path: Path
) -> None:
    series = ct_series()
    series[2].InstitutionName = "known"
    series[2].InstanceCreationDate, series[2].InstanceCreationTime = known
    copy_of = deepcopy(series[2])
    copy_of.InstitutionName = "again"
    copy_of.InstanceCreationDate, copy_of.InstanceCreationTime = again
    save_series(series, tmp_path)
    if compressed:
        copy_of.compress(RLELossless, generate_instance_uid=False)
    copy_of.save_as(tmp_path / name, enforce_file_format=True)
    (found,) = one_study(tmp_path).series
    assert (len(found.instances), found.repeats, found.conflicts) == (8, 1, ())
    (image,) = [i for i in found.instances if i.header.SOPInstanceUID == series[2].SOPInstanceUID]
    by_path = "known" if name.startswith("A") else "again"
    assert image.header.InstitutionName == (by_path if taken == "by path" else taken)
    volume, _ = run(tmp_path, config())
    assert np.array_equal(volume.array[0], phantom().array)
    assert [warning.code for warning in volume.warnings] == [
        WarningCode.IMAGES_REPEATED,
        WarningCode.DESCRIPTION_CHANGED,
    ]
    words = {"InstitutionName"}
    words |= {"InstanceCreationDate"} if known[0] != again[0] else set()
    words |= {"InstanceCreationTime"} if known[1] != again[1] else set()
    named = volume.warnings[1].detail.partition("They differ in: ")[2].rstrip(".").split(", ")
    assert set(named) == words


def test_a_value_that_no_reader_understands_is_no_other_image_where_it_is_the_same(tmp_path: Path) -> None:
    series = ct_series()
    save_series([*series, deepcopy(series[2])], tmp_path)
    for path in (tmp_path / "IM0003", tmp_path / "IM0009"):
        rewrite(path, "SeriesNumber", lambda value: (b"IS", b"#1"))
    rewrite(tmp_path / "IM0009", "Manufacturer", lambda value: (b"LO", value[:-1] + b"X"))
    (found,) = one_study(tmp_path).series
    assert (found.repeats, found.conflicts, found.changed_words) == (1, (), "Manufacturer")


def test_long_lists_of_words_are_cut() -> None:
    tags = [*range(0x00100010, 0x00100020), 0x00291010]
    assert keywords_of(tags[:2]) == "PatientName, (0010,0011)"
    assert keywords_of(tags).endswith(" and 5 more")


def recompress(path: Path) -> None:
    """The same image in another transfer syntax, as an archive may send it the second time."""
    from pydicom import dcmread

    dataset = dcmread(path)
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(path)


@pytest.mark.parametrize("where", ["pixels", "header"])
def test_repeats_that_differ_are_refused(where: str, tmp_path: Path) -> None:
    series = ct_series()
    other = deepcopy(series[3])
    if where == "pixels":
        other.PixelData = bytes(len(other.PixelData))
    else:
        other.ImagePositionPatient[2] += 1
    save_series([*series, other], tmp_path)
    selection = select_series(one_study(tmp_path), config())
    assert selection.rejection is not None
    assert selection.rejection.code is ReasonCode.DUPLICATE_UID


def test_a_study_of_nothing_but_other_objects_says_which(tmp_path: Path) -> None:
    series = ct_series()
    for dataset in series:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    series[0].SOPClassUID = series[0].file_meta.MediaStorageSOPClassUID = CTImageStorage
    series[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save_series(series, tmp_path)
    rejection = select_series(one_study(tmp_path), config()).rejection
    assert rejection is not None
    assert rejection.code is ReasonCode.NO_MATCHING_SERIES
    assert rejection.detail.endswith("set aside: a localizer; Secondary Capture Image Storage.")


def test_an_image_of_two_series_refuses_both_and_no_third(tmp_path: Path) -> None:
    first, second = ct_series(), ct_series()
    third = make_series(phantom(), series=SeriesTags(number=9))
    for dataset in second:
        dataset.SeriesInstanceUID += ".1"
        dataset.SOPInstanceUID += "" if dataset is second[4] else ".1"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for name, series in (("a", first), ("b", second), ("c", third)):
        save_series(series, tmp_path / name)
    found = {series.uid: series.conflicts for series in one_study(tmp_path).series}
    shared = (first[4].SOPInstanceUID,)
    assert found == {
        first[0].SeriesInstanceUID: shared,
        second[0].SeriesInstanceUID: shared,
        third[0].SeriesInstanceUID: (),
    }
    volume, _ = run(tmp_path, config())
    assert volume.series_uids == (third[0].SeriesInstanceUID,)


@pytest.mark.parametrize(
    ("damage", "count"),
    [
        (lambda path: path.rename(path.with_name("cut.dcm")).write_bytes(b""), 1),
        (lambda path: path.rename(path.with_name("login.DCM")).write_bytes(b"<html>"), 1),
        (lambda path: path.write_bytes(bytes(300)), 1),
        (lambda path: path.write_bytes(b""), 0),
        (lambda path: path.write_bytes(b"a page of text" * 30), 0),
        (lambda path: path.write_bytes(path.read_bytes()[:132]), 1),
        (lambda path: path.write_bytes(bytes(128) + b"DICM" + bytes(9)), 1),
        (lambda path: path.rename(path.with_name("._x.dcm")).write_bytes(b"a Finder's file"), 0),
    ],
)
def test_refusal_for_a_missing_slice_counts_the_images_that_could_not_be_read(
    damage: Callable[[Path], object], count: int, tmp_path: Path
) -> None:
    save_series(ct_series(), tmp_path)
    damage(sorted(tmp_path.iterdir())[3])
    study = one_study(tmp_path)
    selection = select_series(study, config())
    assert selection.rejection is not None
    assert selection.rejection.code is ReasonCode.MISSING_SLICE
    assert selection.rejection.detail.endswith(" 1 image could not be read.") == bool(count)
    found = [(one.code, one.detail) for one in selection.warnings]
    assert found == [(WarningCode.FILES_UNREADABLE, "1 image could not be read.")] * count


def test_two_unreadable_images_are_counted_together(tmp_path: Path) -> None:
    save_series(ct_series(), tmp_path)
    for path in sorted(tmp_path.iterdir())[3:5]:
        path.write_bytes(bytes(200))
    selection = select_series(one_study(tmp_path), config())
    assert selection.rejection is not None
    assert selection.rejection.message.endswith(" 2 images could not be read.")


def test_nested_sequences_are_a_bad_file_and_not_a_crash(tmp_path: Path) -> None:
    save_series(ct_series(), tmp_path)
    (tmp_path / "nested").write_bytes(nested_file(3000))
    study = one_study(tmp_path)
    assert [(a.series_uid, a.reason) for a in study.set_aside] == [
        ("", "cannot be read: its sequences are nested too deeply")
    ]
    (decision,) = [d for d in select_series(study, config()).decisions if d.decision == "set_aside"]
    assert decision.reason == "1 file: cannot be read: its sequences are nested too deeply."
    assert_readable(study)


def nested_file(depth: int) -> bytes:
    dataset = ct_series()[0]
    buffer = BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    sequence = struct.pack("<HH2sHI", 0x0008, 0x1111, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    whole = buffer.getvalue()
    at = whole.index(struct.pack("<HH", 0x0010, 0x0010) + b"PN")
    return whole[:at] + (sequence + item) * depth + whole[at:]


def test_only_bad_files_are_no_dicom(tmp_path: Path) -> None:
    (tmp_path / "nested").write_bytes(nested_file(3000))
    with pytest.raises(StudyRejected) as caught:
        read_studies(tmp_path)
    assert caught.value.code is ReasonCode.NO_DICOM
    assert "1 image could not be read." in caught.value.detail


def deflated_bomb(path: Path, tag: int, megabytes: int) -> None:
    """A deflated image in which one element inflates a thousandfold."""
    dataset = ct_series()[0]
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    if tag == 0x7FE00010:
        dataset.PixelData = bytes(megabytes * 2**20)
    else:
        dataset.add_new(tag, "OB", bytes(megabytes * 2**20))
    dcmwrite(path, dataset)


@pytest.mark.parametrize("tag", [0x00091010, 0x00420011, 0x7FE00010], ids=["private", "document", "pixels"])
def test_a_deflated_bomb_is_bounded(tag: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_INFLATED_HEADER <= 2**26
    monkeypatch.setattr(
        "dicom_io.images.headers.instance.MAX_INFLATED_HEADER", 2**23
    )  # as a smaller bomb is quicker to make
    save_series(ct_series()[1:], tmp_path)
    deflated_bomb(tmp_path / "bomb", tag, 64)
    assert (tmp_path / "bomb").stat().st_size < 2**20
    tracemalloc.start()
    study = one_study(tmp_path)
    if tag == 0x7FE00010:  # longer than rows and columns ask for: what is too much is never inflated
        assert read_volume(study.series[0]).array.shape[1] == 8
    else:
        assert [a.reason for a in study.set_aside] == ["cannot be read: its deflated header is damaged or too large"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.5 * 2**23


def test_damaged_deflated_data_is_a_bad_file(tmp_path: Path) -> None:
    files = write_series(phantom(), tmp_path, encoding=Encoding(transfer_syntax=DeflatedExplicitVRLittleEndian)).files
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[:400] + bytes(60) + whole[460:])
    study = one_study(tmp_path)
    if not study.set_aside:  # the damage hit the pixels, which headers cannot show
        with pytest.raises(StudyRejected):
            read_volume(study.series[0])


def test_an_inflating_file_reads_like_a_file() -> None:
    content = np.random.default_rng(0).integers(0, 9, 200_000, dtype=np.uint8).tobytes()
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    file = InflatingFile(BytesIO(deflate.compress(content) + deflate.flush()), len(content))
    assert file.read(10) == content[:10]
    file.seek(150_000)
    assert file.read(100) == content[150_000:150_100]
    file.seek(-50, 1)
    assert file.tell() == 150_050
    file.seek(5)
    assert file.read(len(content) - 5) == content[5:]
    with pytest.raises(InflateLimitError):
        file.read(1)


@pytest.mark.parametrize("implicit", [True, False], ids=["implicit", "explicit"])
def test_files_without_preamble_are_read(implicit: bool, tmp_path: Path) -> None:
    for number, dataset in enumerate(ct_series()):
        bare = Dataset(dataset)
        bare.save_as(tmp_path / str(number), implicit_vr=implicit, little_endian=True)
        assert (tmp_path / str(number)).read_bytes()[:2] == b"\x08\x00"
    study = one_study(tmp_path)
    np.testing.assert_array_equal(read_volume(study.series[0]).array[0], phantom().array)


def test_headers_hold_no_bulk(tmp_path: Path) -> None:
    series = ct_series()
    for dataset in series:
        block = dataset.private_block(0x0029, "SOMEONE", create=True)
        block.add_new(0x10, "OB", bytes(100_000))
        dataset.add_new(0x60003000, "OW", bytes(5_000))
        dataset.IconImageSequence = Sequence([Dataset()])
    save_series(series, tmp_path)
    (instance, *_) = one_study(tmp_path).series[0].instances
    assert not [e for e in instance.header if e.tag.group & 1 or e.tag.group >= 0x6000]
    assert "IconImageSequence" not in instance.header
    assert instance.header.PatientName == "Phantom^Made"


def test_malformed_values_are_no_crash_and_no_warning(tmp_path: Path) -> None:
    series = ct_series()
    save_series(series, tmp_path)
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        for good in (series[0].PixelSpacing[0].original_string, "IOHEXOL"):
            content = content.replace(good.encode(), b"x" * len(good))
        path.write_bytes(content)
    selection = select_series(one_study(tmp_path), config())
    assert selection.rejection is not None


@pytest.mark.filterwarnings("ignore:Unknown encoding")  # the damage may hit the character set; no value is quoted
@pytest.mark.filterwarnings("ignore:Failed to decode byte string")  # the same
@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_never_crash(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    for path in write_series(phantom(), tmp_path).files:
        content = bytearray(path.read_bytes())
        for at in rng.integers(132, 2000, size=6):
            content[at] = rng.integers(256)
        path.write_bytes(bytes(content))
    try:
        studies = read_studies(tmp_path)
    except StudyRejected:
        return
    for study in studies:
        try:
            run_study = select_series(study, config())
            for series in run_study.channels:
                read_volume(series)
        except StudyRejected:
            continue


def test_importing_the_readers_loads_neither_network_nor_imaging_libraries() -> None:
    check = (
        "import sys, dicom_io.images.volume, dicom_io.images.selection.selection, dicom_io.images.study\n"
        "heavy = {'torch', 'SimpleITK', 'highdicom', 'nnunetv2', 'holoscan', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", check], check=True)  # noqa: S603 - this interpreter, a text of this file


def assert_readable(study: "object") -> None:
    (series,) = study.series  # type: ignore[attr-defined]
    np.testing.assert_array_equal(read_volume(series).array[0], phantom().array)


def test_failing_disk_is_not_taken_for_missing_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No disk can be made to fail at one file of a series, so the reader of headers does."""
    save_series(ct_series(), tmp_path)

    def fail(path: Path) -> Instance:
        if path.name == sorted(tmp_path.iterdir())[5].name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read_instance(path)

    monkeypatch.setattr("dicom_io.images.study.read_instance", fail)
    with pytest.raises(RetryLater, match="an image cannot be read now: Input/output error"):
        read_studies(tmp_path)


@pytest.fixture
def no_handle_left() -> Iterator[None]:
    """Let this process open no further file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Path(os.devnull).open("rb") as last:
        resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno() + 1, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    save_series(ct_series(), tmp_path)
    return tmp_path


@pytest.fixture
def series(images: Path) -> Series:
    return one_study(images).series[0]


def test_want_of_file_handles_is_not_taken_for_an_empty_folder(images: Path, no_handle_left: None) -> None:
    with pytest.raises(RetryLater, match="Too many open files"):
        read_studies(images)


def test_want_of_file_handles_is_not_taken_for_damaged_pixels(series: Series, no_handle_left: None) -> None:
    with pytest.raises(RetryLater, match="Too many open files"):
        read_volume(series)
