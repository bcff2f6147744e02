"""The private elements that a header keeps."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_io.images.headers.instance import read_instance
from dicom_io.images.headers.private import (
    GE_SCAN_TIME,
    PHILIPS_ACTIVITY_FACTOR,
    PHILIPS_SUV_FACTOR,
    private_text,
)
from tests.support.pet_headers import Pet, pet_series

SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)


def header_of(dataset: Dataset, path: Path, syntax: UID = ExplicitVRLittleEndian) -> Dataset:
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path / "image.dcm", enforce_file_format=True)
    return read_instance(path / "image.dcm").header


@pytest.mark.parametrize("block", [0x10, 0x42, 0xFF])
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_a_vendors_element_is_found_in_any_block(syntax: UID, block: int, tmp_path: Path) -> None:
    pet = Pet(ge_scan_time="20260102100000.00", philips_suv=("0.0004",), philips_activity=("2.5",), block=block)
    header = header_of(pet_series(pet)[0], tmp_path, syntax)
    assert private_text(header, GE_SCAN_TIME) == "20260102100000.00"
    assert private_text(header, PHILIPS_SUV_FACTOR) == "0.0004"
    assert private_text(header, PHILIPS_ACTIVITY_FACTOR) == "2.5"


def test_all_other_private_elements_are_dropped(tmp_path: Path) -> None:
    dataset = pet_series(Pet(ge_scan_time="20260102100000"))[0]
    dataset.add_new((0x0009, 0x1037), "LO", "of GE")
    dataset.add_new((0x0011, 0x0010), "LO", "ACME")
    dataset.add_new((0x0011, 0x1001), "LO", "of ACME")
    dataset.add_new((0x7053, 0x0010), "LO", "ACME")
    dataset.add_new((0x7053, 0x1000), "DS", "3")
    header = header_of(dataset, tmp_path)
    assert [tag for tag in header.keys() if tag.is_private] == [(0x0009, 0x0010), (0x0009, 0x100D)]  # noqa: SIM118
    assert private_text(header, PHILIPS_SUV_FACTOR) == ""


def test_a_value_of_unknown_representation_is_its_text(tmp_path: Path) -> None:
    dataset = pet_series()[0]
    dataset.add_new((0x7053, 0x0010), "UN", b"Philips PET Private Group ")
    dataset.add_new((0x7053, 0x1000), "UN", b"0.0004")
    assert private_text(header_of(dataset, tmp_path), PHILIPS_SUV_FACTOR) == "0.0004"
