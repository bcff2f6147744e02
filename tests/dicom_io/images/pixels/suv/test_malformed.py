"""No header, however malformed, gives anything but positive numbers or a refusal."""

import math
from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag

from core.errors import ReasonCode, StudyRejected
from dicom_io.images.headers.attributes import MALFORMED, tag_of
from dicom_io.images.pixels.suv.pet_scale import PetUnit, pet_scale
from tests.support.pet_headers import DAY, Pet, pet_headers

OF_A_SERIES = (
    "Units", "SUVType", "DecayCorrection", "CorrectedImage", "PatientWeight", "PatientSize", "PatientSex", "SeriesDate",
    "SeriesTime", "AcquisitionDate", "AcquisitionTime", "FrameReferenceTime", "ActualFrameDuration",
    "TimezoneOffsetFromUTC", "RadiopharmaceuticalInformationSequence",
)  # fmt: skip
OF_AN_ISOTOPE = (
    "RadionuclideTotalDose", "RadionuclideHalfLife", "RadiopharmaceuticalStartDateTime", "RadiopharmaceuticalStartTime",
    "RadionuclideCodeSequence",
)  # fmt: skip
PRIVATE = (0x00090010, 0x0009100D, 0x70530010, 0x70531000, 0x70531009)
PETS = (
    Pet(),
    Pet(series_time="150000"),
    Pet(series_time="150000", ge_scan_time=f"{DAY}100000.00"),
    Pet(decay_correction="ADMIN"),
    Pet(units="CNTS", philips_suv=("0.0004",)),
    Pet(units="CNTS", philips_activity=("2.5",)),
    Pet(units="GML"),
)
TAGS = st.sampled_from([*map(tag_of, OF_A_SERIES), *map(Tag, PRIVATE)])
ISOTOPE_TAGS = st.sampled_from([*map(tag_of, OF_AN_ISOTOPE)])
VRS = st.sampled_from([None, "DS", "CS", "DA", "TM", "DT", "UN", "SQ", "FD", "US", "LO", "Uw"])
VALUES = st.binary(max_size=24) | st.sampled_from(
    [b"", b"0", b"-1", b"nan", b"inf", b"1e308", b"1e-308", b"-1e308", b"START\\ADMIN", b"GML", b"BQML", b"CNTS",
     b"00010101", b"99991231", b"20260102", b"000000", b"235960", b"99991231235959.999999+1400", b"+1400", b"-1200",
     b"20260102090000", b"1\\2", b"350000000", b"6586.2"]
)  # fmt: skip


def put(dataset: Dataset, tag: int, vr: str | None, value: bytes) -> None:
    dataset._dict[Tag(tag)] = RawDataElement(Tag(tag), vr, len(value), value, 0, vr is None, True)


def check(headers: list[Dataset], unit: PetUnit) -> bool:
    """Return whether there is a number."""
    try:
        scale = pet_scale(headers, unit)
    except StudyRejected as error:
        if error.code is not ReasonCode.NO_SUV:
            raise
        return False
    assert len(scale.factors) == len(headers)
    assert all(math.isfinite(factor) and factor > 0 for factor in scale.factors)
    return True


@pytest.mark.filterwarnings("ignore")  # pydicom's, about what is malformed here on purpose
@given(
    st.sampled_from(PETS),
    st.sampled_from(PetUnit),
    st.lists(st.tuples(TAGS, VRS, VALUES, st.booleans()), max_size=3),
    st.lists(st.tuples(ISOTOPE_TAGS, VRS, VALUES), max_size=2),
)
def test_malformed_elements_are_refused_or_give_numbers(
    pet: Pet,
    unit: PetUnit,
    elements: list[tuple[int, str | None, bytes, bool]],
    of_isotope: list[tuple[int, str | None, bytes]],
) -> None:
    headers = pet_headers(pet)
    for header in headers:
        for tag, vr, value in of_isotope:
            put(header.RadiopharmaceuticalInformationSequence[0], tag, vr, value)
    for tag, vr, value, in_all in elements:
        for header in headers if in_all else headers[:1]:
            put(header, tag, vr, value)
    check(headers, unit)


@pytest.mark.filterwarnings("ignore")
@given(
    st.sampled_from(PETS), st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), max_size=4), st.booleans()
)
def test_damaged_bytes_are_refused_or_give_numbers(pet: Pet, flips: list[tuple[int, int]], implicit: bool) -> None:
    encoded = DicomBytesIO()
    encoded.is_implicit_VR, encoded.is_little_endian = implicit, True
    write_dataset(encoded, pet_headers(pet)[0])
    data = bytearray(encoded.getvalue())
    for place, mask in flips:
        data[place % len(data)] ^= mask
    header = Dataset()
    with suppress(*MALFORMED):
        header = read_dataset(BytesIO(bytes(data)), implicit, True)
    found = check([header], PetUnit.SUV_BW)
    assert found or flips


@pytest.mark.parametrize("pet", PETS)
def test_the_headers_that_are_damaged_give_numbers_before(pet: Pet) -> None:
    assert check(pet_headers(pet), PetUnit.SUV_BW)
