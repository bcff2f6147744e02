"""Headers are kept packed, and nothing of them is lost by it."""

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_io.images.headers.instance import Instance, read_instance
from dicom_io.images.headers.packed import HeaderPacker, PackedHeader
from dicom_io.images.study import read_studies
from phantom.series import save_series
from tests.support.series_helpers import ct_series

SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)


def packed(paths: list[Path]) -> list[Instance]:
    packer = HeaderPacker()
    return [read_instance(path).packed(packer) for path in paths]


def saved(series: list[Dataset], folder: Path) -> list[Path]:
    save_series(series, folder)
    return sorted(folder.iterdir())


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_every_header_is_what_was_read(syntax: UID, tmp_path: Path) -> None:
    series = ct_series()
    series[2].PatientName, series[2].SpecificCharacterSet = "Müller", "ISO_IR 100"
    series[3].PatientName, series[3].SpecificCharacterSet = "Müller", "ISO_IR 192"
    del series[4].StudyTime
    for number, image in enumerate(series):
        item = Dataset()
        item.CodeValue, item.CodeMeaning = str(number // 2), "Größe" if number in (2, 3) else "size"
        image.ProcedureCodeSequence = Sequence([item])
    for number, image in enumerate(series):
        image.file_meta.TransferSyntaxUID = syntax
        image.save_as(tmp_path / f"{number:02}.dcm", enforce_file_format=True)
    paths = sorted(tmp_path.iterdir())
    found = packed(paths)
    assert all(isinstance(instance.kept, PackedHeader) for instance in found)
    for path, instance in zip(paths, found, strict=True):
        read = dcmread(path, stop_before_pixels=True)
        assert instance.header == read_instance(path).header
        assert instance.header.PatientName == read.PatientName
        assert instance.header.ProcedureCodeSequence == read.ProcedureCodeSequence
        assert instance.transfer_syntax == syntax
        assert instance.header.file_meta.TransferSyntaxUID == syntax


def test_a_changed_header_changes_no_other(tmp_path: Path) -> None:
    first, second = packed(saved(ct_series(), tmp_path))[:2]
    changed = first.header
    changed.Modality = "MR"
    del changed.PatientID
    assert (first.header.Modality, second.header.Modality) == ("CT", "CT")
    assert "PatientID" in second.header


def test_series_that_take_turns_share_within_themselves(tmp_path: Path) -> None:
    one, other = ct_series(), ct_series(description="B")
    for number, (a, b) in enumerate(zip(one, other, strict=True)):
        b.SeriesInstanceUID = "1.2.3.4"
        a.save_as(tmp_path / f"{number:02}a.dcm", enforce_file_format=True)
        b.save_as(tmp_path / f"{number:02}b.dcm", enforce_file_format=True)
    found = packed(sorted(tmp_path.iterdir()))
    kept = [instance.kept for instance in found if isinstance(instance.kept, PackedHeader)]
    assert len({id(header.shared) for header in kept}) == 2
    assert max(len(header.own) for header in kept) < 8


def test_an_image_of_another_kind_in_a_series_is_kept_whole(tmp_path: Path) -> None:
    series = ct_series()
    for element in list(series[3]):
        if element.tag.group not in (0x0008, 0x0020, 0x7FE0) and element.VR in ("DS", "IS", "LO"):
            del series[3][element.tag]
    paths = saved(series, tmp_path)
    for path, instance in zip(paths, packed(paths), strict=True):
        assert instance.header == read_instance(path).header


def test_studies_keep_packed_headers(tmp_path: Path) -> None:
    saved(ct_series(), tmp_path)
    (study,) = read_studies(tmp_path)
    assert all(isinstance(instance.kept, PackedHeader) for instance in study.series[0].instances)
