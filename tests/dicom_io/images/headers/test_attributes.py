"""Values of headers that may hold anything."""

import struct
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from dicom_io.images.headers.attributes import integer, items, number, numbers, tag_of, text, texts, uid
from dicom_io.uids import is_uid


def raw(keyword: str, vr: str | None, value: bytes) -> Dataset:
    """Build a header with one element as it comes from a file."""
    tag = tag_of(keyword)
    header = Dataset()
    header._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, vr is None, True)
    return header


@pytest.mark.filterwarnings("ignore:Found unknown escape sequence")  # pydicom's, of damaged text; no value is quoted
@given(st.binary(max_size=40), st.sampled_from(["DS", None, "Uw", "C\xcc", "US", "FD", "SQ", "PN", "AT"]))
def test_any_bytes_are_numbers_or_nothing(value: bytes, vr: str | None) -> None:
    header = raw("ImagePositionPatient", vr, value)
    found = numbers(header, "ImagePositionPatient", 3)
    assert found is None or len(found) == 3
    assert number(header, "SliceThickness") is None
    items(header, "ImagePositionPatient")


@given(st.binary(max_size=80))
def test_any_bytes_are_a_valid_uid_or_nothing(value: bytes) -> None:
    found = uid(raw("StudyInstanceUID", "UI", value), "StudyInstanceUID")
    assert set(found) <= set("0123456789.")
    assert len(found) <= 64
    assert Path(found).name == found or found == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1.2.840.10008", "1.2.840.10008"),
        ("1.2.3\0", "1.2.3"),
        ("1.02.3", "1.02.3"),
        ("", ""),
        ("..", ""),
        ("1..2", ""),
        ("1.2.", ""),
        ("../../etc/x", ""),
        ("1.2/3", ""),
        ("1.2\\1.3", ""),
        ("1.2\n.3", ""),
        ("1." * 32 + "1", ""),
        ("1." + "1" * 62, "1." + "1" * 62),
        ("1." + "1" * 63, ""),
        ("1" * 64, ""),
    ],
)
def test_valid_uids_are_told_from_other_texts(value: str, expected: str) -> None:
    assert uid(raw("StudyInstanceUID", "UI", value.encode()), "StudyInstanceUID") == expected
    assert is_uid(value.rstrip("\0")) == bool(expected)


def test_digits_of_other_scripts_and_line_ends_are_no_identifier() -> None:
    assert not is_uid("1.\N{ARABIC-INDIC DIGIT THREE}")
    assert not is_uid("1.2\n")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"1\\2.5 \\-3e1", (1.0, 2.5, -30.0)), (b"1\\2", None), (b"1\\2\\nan", None), (b"1\\2\\inf", None), (b"", None)],
)
def test_decimal_strings_are_read_from_their_bytes(value: bytes, expected: tuple[float, ...] | None) -> None:
    for vr in ("DS", None):
        assert numbers(raw("ImagePositionPatient", vr, value), "ImagePositionPatient", 3) == expected


def test_binary_numbers_follow_their_type() -> None:
    assert integer(raw("Rows", "US", b"\x00\x02"), "Rows") == 512
    assert integer(raw("Rows", None, b"\x00\x02"), "Rows") == 512
    assert integer(raw("InstanceNumber", "IS", b"12 "), "InstanceNumber") == 12
    assert integer(raw("InstanceNumber", "IS", b"1.5"), "InstanceNumber") is None


@pytest.mark.parametrize(
    "value",
    [b"0.5\\2.5\0", b"0.5\\2.5 \0\0", b"0.5\0\\2.5\0", b" 0.5 \\ 2.5", b"\t0.5\\2.5\r\n", b"0.5\\2.5\xa0"],
    ids=["NUL", "blank and NULs", "NUL in each", "blanks", "white space", "no-break space"],
)
@pytest.mark.parametrize("vr", ["DS", None, "UN", "LO", "SH", "CS", "ST", "UT", "OB"])
def test_decimals_may_be_padded_by_anything_that_is_no_number(value: bytes, vr: str | None) -> None:
    if vr == "OB" and b"\xa0" in value:
        value = value[:-1]  # pydicom leaves bytes as they are, and nothing says that they are text
    assert numbers(raw("PixelSpacing", vr, value), "PixelSpacing", 2) == (0.5, 2.5)


@pytest.mark.parametrize("is_little_endian", [True, False])
@pytest.mark.parametrize("converted", [False, True], ids=["as read", "as pydicom converted it"])
@pytest.mark.parametrize(("vr", "word"), [("FD", "d"), ("OD", "d"), ("FL", "f"), ("OF", "f")])
def test_decimals_may_be_binary(vr: str, word: str, converted: bool, is_little_endian: bool) -> None:
    value = struct.pack(("<" if is_little_endian else ">") + word * 2, 0.5, -1e4)
    assert numbers(read_back("PixelSpacing", vr, value, is_little_endian, converted), "PixelSpacing", 2) == (0.5, -1e4)


@pytest.mark.parametrize("is_little_endian", [True, False])
@pytest.mark.parametrize("converted", [False, True], ids=["as read", "as pydicom converted it"])
@pytest.mark.parametrize("keyword", ["InstanceNumber", "Rows"])
@pytest.mark.parametrize(
    ("vr", "word"), [("SL", "l"), ("UL", "L"), ("SS", "h"), ("US", "H"), ("SV", "q"), ("UV", "Q"), ("FD", "d")]
)
def test_integers_may_be_binary(keyword: str, vr: str, word: str, converted: bool, is_little_endian: bool) -> None:
    value = struct.pack(("<" if is_little_endian else ">") + word, 300)
    assert integer(read_back(keyword, vr, value, is_little_endian, converted), keyword) == 300


@pytest.mark.parametrize("is_little_endian", [True, False])
@pytest.mark.parametrize("converted", [False, True], ids=["as read", "as pydicom converted it"])
@pytest.mark.parametrize(("vr", "word"), [("OW", "H"), ("OL", "L"), ("OV", "Q"), ("DS", None), ("IS", None)])
def test_rows_may_be_words_or_digits(vr: str, word: str | None, converted: bool, is_little_endian: bool) -> None:
    value = struct.pack(("<" if is_little_endian else ">") + word, 512) if word else b"512\0"
    assert integer(read_back("Rows", vr, value, is_little_endian, converted), "Rows") == 512


def test_digits_under_a_binary_type_are_digits() -> None:
    """Eight bytes, as a double has; read as one they would be 3e-57."""
    for vr in ("OD", "OF", "OW", "OB"):
        assert number(raw("SliceThickness", vr, b"0.703125"), "SliceThickness") == 0.703125
    assert number(raw("SliceThickness", "OD", bytes(8)), "SliceThickness") == 0.0
    assert number(raw("SliceThickness", "OW", b"\1\0"), "SliceThickness") is None, "a decimal has no such form"


def read_back(keyword: str, vr: str, value: bytes, is_little_endian: bool, converted: bool) -> Dataset:
    """Build a header that pydicom reads from bytes."""
    order = "<" if is_little_endian else ">"
    tag = tag_of(keyword)
    length = f"{order}2xL" if vr in ("OD", "OF", "OL", "OV", "OW", "SV", "UV") else f"{order}H"
    head = struct.pack(f"{order}HH2s", tag.group, tag.element, vr.encode()) + struct.pack(length, len(value))
    header = read_dataset(BytesIO(head + value), False, is_little_endian)
    if converted:
        assert str(header[tag].VR) == vr
    return header


def test_texts_are_stripped_and_joined() -> None:
    header = raw("ImageType", "CS", b"ORIGINAL\\PRIMARY \\AXIAL\0")
    assert texts(header, "ImageType") == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert text(header, "ImageType") == "ORIGINAL\\PRIMARY\\AXIAL"
    assert text(header, "Modality") == ""
