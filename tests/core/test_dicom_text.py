"""Texts that would come back changed from a SEG are refused where they are written."""

from pathlib import Path

import pydicom
import pytest
from pydantic import TypeAdapter, ValidationError
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from core.dicom_text import LongString, ShortString, one_line
from core.errors import PackageInvalid
from core.model_config import parse_model_config

CODE = '{value: "10200004", scheme: SCT, meaning: Liver}'
MODEL = f"""\
schema: 1
name: liver
version: "1"
orientation: acquired
channels: [{{name: CT, series: {{modality: [CT]}}}}]
labels:
  - value: 1
    name: liver
    type: {CODE}
output:
  series_description: Liver
"""
NOT_HELD = [r"left\right", "liver ", " liver", "li\nver", "li\tver", "liver\0", "li\x85ver", "li\u2028ver", "\xa0liver"]


def from_a_file(text: str, path: Path) -> object:
    """Return a text after a round trip through a DICOM file."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SeriesDescription = text
    dataset.save_as(path)
    return pydicom.dcmread(path, force=True).SeriesDescription


@pytest.mark.parametrize("text", NOT_HELD)
def test_text_that_dicom_cannot_hold_is_refused(text: str) -> None:
    for kind in (LongString, ShortString):
        with pytest.raises(ValidationError, match="DICOM"):
            TypeAdapter(kind).validate_python(text)


@pytest.mark.parametrize("text", ["liver", "Lésion hépatique", "간", "a / b (c) ^ = 50 %", "x" * 64])
def test_accepted_text_comes_back_unchanged_from_a_file(text: str, tmp_path: Path) -> None:
    assert from_a_file(TypeAdapter(LongString).validate_python(text), tmp_path / "x.dcm") == text


def test_the_lengths_are_those_of_the_standard() -> None:
    with pytest.raises(ValidationError, match="at most 64"):
        TypeAdapter(LongString).validate_python("x" * 65)
    with pytest.raises(ValidationError, match="at most 16"):
        TypeAdapter(ShortString).validate_python("x" * 17)


@pytest.mark.parametrize("text", [*NOT_HELD, "\ud800liver", "\ufffeliver", ""])
def test_one_line_makes_any_text_fit(text: str) -> None:
    TypeAdapter(LongString).validate_python(one_line(text))
    assert one_line("  Liver\n\n of\tthe \\ CT ") == "Liver of the CT"


@pytest.mark.parametrize(
    ("old", "new", "at"),
    [
        ("    name: liver", r'    name: "left\\right"', "8: labels.0.name"),
        ("    name: liver", '    name: "liver "', "8: labels.0.name"),
        ("meaning: Liver", r'meaning: "Li\\ver"', "9: labels.0.type.meaning"),
        ("scheme: SCT", 'scheme: " SCT"', "9: labels.0.type.scheme"),
        ("series_description: Liver", r'series_description: "a\\b"', "11: output.series_description"),
        ('version: "1"', r'version: "1\\2"', "3: version"),
        ('version: "1"', 'version: ""', "3: version"),
    ],
)
def test_model_yaml_names_line_and_key(old: str, new: str, at: str) -> None:
    assert old in MODEL
    with pytest.raises(PackageInvalid) as caught:
        parse_model_config(MODEL.replace(old, new).encode(), Path("model.yaml"))
    assert f"model.yaml:{at}" in str(caught.value)


def test_names_that_differ_by_a_blank_are_refused() -> None:
    text = MODEL.replace("labels:\n", 'labels:\n  - {value: 2, name: "liver "}\n')
    with pytest.raises(PackageInvalid, match="blanks at either end"):
        parse_model_config(text.encode(), Path("model.yaml"))


def test_description_is_one_line_in_the_result() -> None:
    text = MODEL + "description: |\n  Liver of a\n  portal-venous CT\\MR " + "x" * 80 + "\n"
    description = parse_model_config(text.encode(), Path("model.yaml")).content_description
    assert description.startswith("Liver of a portal-venous CT MR xxx")
    assert description.endswith("x...")
    assert len(description) == 64
    text = MODEL + "description: " + "x" * 64 + "\n"
    assert parse_model_config(text.encode(), Path("model.yaml")).content_description == "x" * 64
