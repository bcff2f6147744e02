"""Values of headers that may hold anything."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

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


def test_texts_are_stripped_and_joined() -> None:
    header = raw("ImageType", "CS", b"ORIGINAL\\PRIMARY \\AXIAL\0")
    assert texts(header, "ImageType") == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert text(header, "ImageType") == "ORIGINAL\\PRIMARY\\AXIAL"
    assert text(header, "Modality") == ""
