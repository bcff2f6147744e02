"""Misspelt character sets, which are understood where nothing else can be meant."""

from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_io.images.headers.instance import read_instance
from dicom_io.images.headers.part10 import file_head, patient_of
from dicom_io.results.seg.build import build_seg, write_seg
from phantom.anatomy import make_phantom, trunk_geometry
from phantom.series import make_series, save_series
from tests.support.seg_cases import context, label_map, read_case

NAME = "Müller^Jürgen=山田^太郎"

pytestmark = [
    pytest.mark.filterwarnings("ignore:Unknown encoding:UserWarning"),  # pydicom's, before the term is settled
    pytest.mark.filterwarnings("ignore:Incorrect value for Specific Character Set:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*does not allow code extensions:UserWarning"),
]


def image(terms: bytes, name: bytes, *, undefined: bool = False) -> Dataset:
    """An image whose bytes of text are given, in an item too."""
    dataset = make_series(make_phantom(trunk_geometry((40.0, 12.0, 10.0))))[0]
    item = Dataset()
    item.PatientID = "0" * 40
    dataset.OtherPatientIDsSequence = [item]
    dataset["OtherPatientIDsSequence"].is_undefined_length = undefined
    dataset.PatientName, dataset.SpecificCharacterSet = "1" * 40, "ISO_IR 100"
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    padded = name.ljust(40)
    assert len(padded) == 40
    raw = buffer.getvalue().replace(b"1" * 40, padded).replace(b"0" * 40, padded)
    terms += b" " * (len(terms) % 2)
    old = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100"
    assert old in raw
    dataset.raw = raw.replace(old, b"\x08\x00\x05\x00CS" + len(terms).to_bytes(2, "little") + terms)  # type: ignore[attr-defined]
    return dataset


def read(folder: Path, terms: bytes, name: bytes, *, undefined: bool = False) -> Dataset:
    path = folder / "image"
    path.write_bytes(image(terms, name, undefined=undefined).raw)
    return read_instance(path).header


@pytest.mark.parametrize("undefined", [False, True], ids=["items of stated length", "of undefined length"])
@pytest.mark.parametrize(
    "terms",
    [
        *(b"ISO_IR_192", b"ISO 2022 IR 192", b"ISO-IR 192", b"ISO IR 192", b"ISO_IR192", b"ISO_IR-192", b"iso_ir 192"),
        *(b"ISO2022IR192", b"ISO_2022_IR_192", b"UTF-8", b"UTF8", b"utf-8", b"192", b"\\ISO 2022 IR 192"),
        *(b"ISO 2022 IR 6\\ISO 2022 IR 192", b"ISO_IR 192\\ISO 2022 IR 192", b"ISO_IR 192"),
    ],
)
def test_utf8_is_understood_however_it_is_spelt(terms: bytes, undefined: bool, tmp_path: Path) -> None:
    header = read(tmp_path, terms, NAME.encode(), undefined=undefined)
    assert str(header.PatientName) == NAME
    assert header.OtherPatientIDsSequence[0].PatientID == NAME
    assert header.SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize("terms", [b"ISO_IR_192", b"ISO 2022 IR 192"])
def test_text_that_is_no_utf8_is_read_as_before(terms: bytes, tmp_path: Path) -> None:
    header = read(tmp_path, terms, "Müller".encode("latin-1"))
    assert str(header.PatientName) == "Müller"
    assert header.SpecificCharacterSet == terms.decode()


@pytest.mark.parametrize(
    ("terms", "name", "code", "settled"),
    [
        (b"ISO_IR_101", "Łukasz", "iso8859_2", "ISO_IR 101"),
        (b"ISO-IR 144", "Люк", "iso8859_5", "ISO_IR 144"),
        (b"ISO_IR100", "Jürgen", "latin-1", "ISO_IR 100"),
        (b"ISO_2022_IR_100", "Jürgen", "latin-1", "ISO 2022 IR 100"),
        (b"GB18030", "王^小东", "gb18030", "GB18030"),
        (b"ISO_IR 144", "Люк", "iso8859_5", "ISO_IR 144"),
    ],
)
def test_other_terms_are_understood_too(terms: bytes, name: str, code: str, settled: str, tmp_path: Path) -> None:
    header = read(tmp_path, terms, name.encode(code))
    assert str(header.PatientName) == name
    assert header.SpecificCharacterSet == settled


def test_an_unknown_term_stays_as_it_is(tmp_path: Path) -> None:
    header = read(tmp_path, b"KLINGON", b"abc")
    assert (str(header.PatientName), header.SpecificCharacterSet) == ("abc", "KLINGON")


@pytest.mark.parametrize("terms", [b"ISO_IR_192", b"ISO 2022 IR 192"])
def test_the_audit_trail_has_the_name_too(terms: bytes) -> None:
    raw = image(terms, NAME.encode()).raw
    data = raw[raw.index(b"\x08\x00\x05\x00CS") :]
    file = BytesIO(file_head("1.2", "1.2.3", "1.2.840.10008.1.2.1") + data)
    assert patient_of(file) == ("PHANTOM-1", NAME)


@pytest.mark.parametrize("setting", ["utf8", "source"])
@pytest.mark.parametrize("terms", [b"ISO_IR_192", b"ISO 2022 IR 192", b"KLINGON"])
def test_results_name_their_patient_in_a_character_set_that_exists(terms: bytes, setting: str, tmp_path: Path) -> None:
    name = NAME if terms != b"KLINGON" else "A^B"
    save_series(make_series(make_phantom(trunk_geometry((40.0, 12.0, 10.0)))), tmp_path / "series")
    for path in (tmp_path / "series").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 192", name
        dataset.save_as(path)
        raw = path.read_bytes()
        padded = terms + b" " * (len(terms) % 2)
        old = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 192"
        path.write_bytes(raw.replace(old, b"\x08\x00\x05\x00CS" + len(padded).to_bytes(2, "little") + padded))
    case = read_case(tmp_path / "series")
    write_seg(build_seg(label_map(case), case.volume, case.sources, context(character_set=setting)), tmp_path / "x.dcm")
    seg = pydicom.dcmread(tmp_path / "x.dcm")
    assert seg.SpecificCharacterSet == "ISO_IR 192"
    assert str(seg.PatientName) == name
