"""From headers of PET series to factors: computed by hand here, or refused with the attribute named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedPETImageStorage

from core.errors import ReasonCode, StudyRejected
from core.study_warning import WarningCode
from dicom_io.images.pixels.suv.pet_scale import PetUnit, pet_scale
from dicom_io.images.study import read_studies
from tests.conftest import FAULT
from tests.support.pet_headers import (
    C11,
    CU64,
    DAY,
    DAY_AFTER,
    DAY_BEFORE,
    DOSE,
    F18,
    WEIGHT,
    ZR89,
    Pet,
    pet_headers,
    write_pet_series,
)

LATER = {"series_time": "150000.000000"}
"""A Series Time that an archive has rewritten."""


def factor_of(pet: Pet, unit: PetUnit = PetUnit.SUV_BW) -> float:
    found = set(pet_scale(pet_headers(pet), unit).factors)
    assert len(found) == 1
    return found.pop()


def refusal_of(pet: Pet, unit: PetUnit = PetUnit.SUV_BW) -> str:
    return refusal(pet_headers(pet), unit)


def refusal(headers: list[Dataset], unit: PetUnit = PetUnit.SUV_BW) -> str:
    with pytest.raises(StudyRejected) as caught:
        pet_scale(headers, unit)
    assert caught.value.code is ReasonCode.NO_SUV
    return caught.value.detail


def by_hand(seconds: float, half_life: float = F18, weight: float = WEIGHT, dose: float = DOSE) -> float:
    return weight * 1000 / (dose * 0.5 ** (seconds / half_life))


def test_each_image_of_a_file_gets_its_factor_from_the_header_that_reading_keeps(tmp_path: Path) -> None:
    write_pet_series(tmp_path, Pet(**LATER, ge_scan_time=f"{DAY}100000.00", frame_times=False, block=0x11))
    series = read_studies(tmp_path)[0].series[0]
    scale = pet_scale([instance.header for instance in series.instances], PetUnit.SUV_BW)
    assert scale.factors == pytest.approx([by_hand(3600)] * 3)


REFUSED = {
    "no weight": (Pet(weight=None), "(0010,1030)"),
    "a weight of 0": (Pet(weight=0), "(0010,1030)"),
    "a negative weight": (Pet(weight=-70), "(0010,1030)"),
    "a weight in g": (Pet(weight=75000), "(0010,1030)"),
    "a height for a weight": (Pet(weight=1.75), "(0010,1030)"),
    "no dose": (Pet(dose=None), "(0018,1074)"),
    "a dose of 0": (Pet(dose=0), "(0018,1074)"),
    "a negative dose": (Pet(dose=-3.5e8), "(0018,1074)"),
    "a dose in MBq": (Pet(dose=350), "(0018,1074)"),
    "a dose in kBq": (Pet(dose=350000), "(0018,1074)"),
    "a dose in mCi": (Pet(dose=9.46), "(0018,1074)"),
    "no radiopharmaceutical": (Pet(pharmaceuticals=0), "(0054,0016)"),
    "two radiopharmaceuticals": (Pet(pharmaceuticals=2), "(0054,0016)"),
    "no half-life": (replace(Pet(frame_times=False), half_life=None), "(0018,1075)"),
    "a half-life of 0": (Pet(half_life=0, frame_times=False), "(0018,1075)"),
    "a half-life in minutes": (Pet(half_life=109.77), "(0018,1075)"),
    "another nuclide's half-life": (Pet(half_life=4062.6), "(0018,1075)"),
    "another nuclide's half-life, SNOMED CT": (Pet(half_life=4062.6, nuclide=("SCT", "77004003")), "(0018,1075)"),
    "injection after the scan": (Pet(start_date_time=f"{DAY}101500"), "(0018,1078)"),
    "injection time after the scan": (Pet(start_date_time=None, start_time="101500"), "(0018,1078)"),
    "injection 19 h before": (Pet(start_date_time=f"{DAY_BEFORE}150000"), "(0018,1078)"),
    "injection in another year": (Pet(start_date_time="20250102090000"), "(0018,1078)"),
    "no injection time": (Pet(start_date_time=None, start_time=None), "(0018,1078)"),
    "a malformed injection time": (Pet(start_date_time="yesterday"), "(0018,1078)"),
    "an injection to the hour": (Pet(start_date_time=f"{DAY}09"), "(0018,1078)"),
    "an injection to the day": (Pet(start_date_time=DAY), "(0018,1078)"),
    "zirconium without a date": (
        Pet(half_life=ZR89, nuclide=("SRT", "C-168A4"), start_date_time=None),
        "(0018,1078)",
    ),
    "Decay Correction NONE": (Pet(decay_correction="NONE"), "(0054,1102)"),
    "no Decay Correction": (Pet(decay_correction=None), "(0054,1102)"),
    "an unknown Decay Correction": (Pet(decay_correction="SCAN"), "(0054,1102)"),
    "not corrected for attenuation": (Pet(corrected=("DECY", "SCAT")), "(0028,0051)"),
    "not corrected for decay": (Pet(corrected=("ATTN", "SCAT")), "(0028,0051)"),
    "no corrections": (Pet(corrected=None), "(0028,0051)"),
    "an SUV that is not corrected for attenuation": (Pet(units="GML", corrected=("DECY",)), "(0028,0051)"),
    "Series Time later, nothing else": (Pet(**LATER, frame_times=False), "(0054,1300)"),
    "Series Time later, no acquisitions": (Pet(**LATER, acquisitions=((DAY, None),) * 3), "(0008,0032)"),
    "Series Time later, no acquisition date": (Pet(**LATER, acquisitions=((None, "100000"),) * 3), "(0008,0032)"),
    "Series Time later, one acquisition missing": (
        Pet(**LATER, acquisitions=((DAY, "100000"), (DAY, ""), (DAY, "100600"))),
        "(0008,0032)",
    ),
    "no Series Time, nothing else": (Pet(series_time=None, frame_times=False), "(0054,1300)"),
    "frames that lead to two starts": (Pet(**LATER, scan_offsets=(0, 0, 0)), "(0054,1300)"),
    "frames that start after themselves": (Pet(**LATER, scan_offsets=(-60, 120, 300)), "(0054,1300)"),
    "GE's time under another creator": (
        Pet(**LATER, ge_scan_time=f"{DAY}100000.00", ge_creator="ACME", frame_times=False),
        "(0054,1300)",
    ),
    "GE's time after the acquisitions": (Pet(**LATER, ge_scan_time=f"{DAY}143000.00"), "(0009,xx0D)"),
    "GE's time malformed": (Pet(**LATER, ge_scan_time="noon"), "(0009,xx0D)"),
    "an invalid zone": (Pet(timezone="CET"), "(0008,0201)"),
    "a zone in one time alone": (Pet(start_date_time=f"{DAY}090000+0100"), "(0008,0201)"),
    "counts without factors": (Pet(units="CNTS"), "(7053,xx00)"),
    "counts with both factors 0": (Pet(units="CNTS", philips_suv=("0",), philips_activity=("0",)), "(7053,xx00)"),
    "counts with another's factors": (
        Pet(units="CNTS", philips_suv=("0.0004",), philips_creator="ACME"),
        "(7053,xx00)",
    ),
    "counts with a factor in one image": (Pet(units="CNTS", philips_suv=("0.0004", None, None)), "(7053,xx00)"),
    "counts with a negative factor": (Pet(units="CNTS", philips_suv=("-0.0004",)), "(7053,xx00)"),
    "counts without attenuation": (
        Pet(units="CNTS", philips_suv=("0.0004",), corrected=("DECY",)),
        "(0028,0051)",
    ),
    "GML of lean body mass": (Pet(units="GML", suv_type="LBM"), "(0054,1006)"),
    "GML of lean body mass by James": (Pet(units="GML", suv_type="LBMJAMES128"), "(0054,1006)"),
    "GML of ideal body weight": (Pet(units="GML", suv_type="IBW"), "(0054,1006)"),
    "GML of body surface": (Pet(units="GML", suv_type="BSA"), "(0054,1006)"),
    "body surface": (Pet(units="CM2ML"), "(0054,1001)"),
    "counts a second": (Pet(units="CPS"), "(0054,1001)"),
    "no Units": (Pet(units=None), "(0054,1001)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_series_without_a_certain_suv_is_refused_with_the_attribute(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    record_property(FAULT, f"PET: {name}")
    pet, tag = REFUSED[name]
    detail = refusal_of(pet)
    assert tag in detail
    assert "1970" not in detail
    assert DAY not in detail


def test_a_vendors_factor_that_is_no_number_is_refused() -> None:
    headers = pet_headers(Pet(units="CNTS", philips_activity=("2.5",)))
    headers[1].add_new((0x7053, 0x1009), "LO", "many")
    assert "(7053,xx09)" in refusal(headers)


def test_a_series_is_named_by_its_uid(tmp_path: Path) -> None:
    first = write_pet_series(tmp_path, Pet(weight=0))[0]
    series = read_studies(tmp_path)[0].series[0]
    with pytest.raises(StudyRejected) as caught:
        pet_scale([instance.header for instance in series.instances], PetUnit.SUV_BW)
    assert caught.value.code is ReasonCode.NO_SUV
    assert caught.value.series_uid == first.SeriesInstanceUID


def test_enhanced_pet_is_refused() -> None:
    headers = pet_headers()[:1]
    headers[0].SOPClassUID = EnhancedPETImageStorage
    headers[0].SharedFunctionalGroupsSequence = [Dataset()]
    assert "(5200,9229)" in refusal(headers)
    assert "(5200,9229)" in refusal(headers, PetUnit.BQML)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientWeight", "80"), ("Units", "GML"), ("DecayCorrection", "ADMIN"), ("TimezoneOffsetFromUTC", "+0100")],
)
def test_images_of_one_series_agree_or_are_refused(keyword: str, value: str) -> None:
    headers = pet_headers()
    setattr(headers[1], keyword, value)
    assert "differs between images" in refusal(headers)


def test_images_whose_doses_differ_are_refused() -> None:
    headers = pet_headers()
    headers[2].RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose = 3.6e8
    assert "(0054,0016)" in refusal(headers)


def test_an_activity_is_taken_as_it_is_for_a_model_of_activities() -> None:
    assert factor_of(Pet(), PetUnit.BQML) == 1
    assert factor_of(Pet(decay_correction="NONE", weight=None), PetUnit.BQML) == 1
    pet = Pet(units="CNTS", philips_suv=("0.0004",), philips_activity=("2.5",))
    assert factor_of(pet, PetUnit.BQML) == 2.5
    assert "(0054,1001)" in refusal_of(Pet(units="GML"), PetUnit.BQML)
    assert "(7053,xx09)" in refusal_of(Pet(units="CNTS", philips_suv=("0.0004",)), PetUnit.BQML)


@pytest.mark.parametrize(
    ("unit", "suv_type"),
    [
        (PetUnit.SUL_LBM, "LBM"),
        (PetUnit.SUL_LBMJAMES128, "LBMJAMES128"),
        (PetUnit.SUL_LBMJANMA, "LBMJANMA"),
    ],
)
def test_an_sul_is_its_own_variant_alone(unit: PetUnit, suv_type: str) -> None:
    assert factor_of(Pet(units="GML", suv_type=suv_type, weight=None), unit) == 1
    for other in {PetUnit.SUV_BW, PetUnit.SUL_LBM, PetUnit.SUL_LBMJAMES128, PetUnit.SUL_LBMJANMA} - {unit}:
        assert "(0054,1006)" in refusal_of(Pet(units="GML", suv_type=suv_type), other)


def test_the_variant_whose_formula_is_unknown_is_not_computed() -> None:
    for pet in (Pet(), Pet(units="GML"), Pet(units="CNTS", philips_suv=("0.0004",))):
        assert "(0054,1006)" in refusal_of(pet, PetUnit.SUL_LBM)


@pytest.mark.parametrize("size", [None, 0, 175, 0.1])
def test_a_lean_body_mass_needs_a_possible_size(size: float | None) -> None:
    assert "(0010,1020)" in refusal_of(Pet(size=size), PetUnit.SUL_LBMJAMES128)


@pytest.mark.parametrize("sex", ["O", "", None])
def test_a_lean_body_mass_needs_a_sex_that_its_formula_knows(sex: str | None) -> None:
    assert "(0010,0040)" in refusal_of(Pet(sex=sex), PetUnit.SUL_LBMJANMA)


def test_a_lean_body_mass_that_the_formula_makes_impossible_is_refused() -> None:
    assert "(0010,1020)" in refusal_of(Pet(size=1.5, weight=250), PetUnit.SUL_LBMJAMES128)


def test_a_series_time_that_frames_contradict_is_used_with_a_warning() -> None:
    """A delayed second scan that carries the time of the first; the rule of QIBA takes Series Time all the same."""
    delayed = tuple((DAY, f"12{minute:02d}00") for minute in (0, 3, 6))
    scale = pet_scale(pet_headers(Pet(acquisitions=delayed)), PetUnit.SUV_BW)
    assert scale.factors == pytest.approx([by_hand(3600)] * 3)
    assert any("+120 min" in found.detail and "+113%" in found.detail for found in scale.warnings)
    assert pet_scale(pet_headers(), PetUnit.SUV_BW).warnings == ()


@pytest.mark.parametrize(
    ("pet", "words"),
    [
        (Pet(nuclide=None), "Radionuclide Code"),
        (Pet(nuclide=("99ACME", "FDG")), "Radionuclide Code"),
        (Pet(start_time="0800"), "Start Time differ"),
        (Pet(units="GML", corrected=None), "Corrected Image"),
    ],
)
def test_a_header_that_is_unsure_but_not_wrong_gives_a_warning(pet: Pet, words: str) -> None:
    (warning,) = pet_scale(pet_headers(pet), PetUnit.SUV_BW).warnings
    assert warning.code is WarningCode.SUV_UNSURE
    assert words in warning.message


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 2, 0)])
def test_factors_are_in_order_of_the_headers(order: tuple[int, ...]) -> None:
    pet = Pet(units="CNTS", philips_suv=("0.0004", "0.0005", "0.0006"))
    headers = pet_headers(pet)
    found = pet_scale([headers[index] for index in order], PetUnit.SUV_BW).factors
    assert found == tuple(float(np.float64(0.0004 + 0.0001 * index).round(4)) for index in order)


def test_a_coarse_time_is_fine_where_the_half_life_is_long() -> None:
    pet = Pet(half_life=ZR89, nuclide=("SRT", "C-168A4"), start_date_time=f"{DAY_BEFORE}09", start_time=None)
    assert factor_of(pet) == pytest.approx(by_hand(25 * 3600, ZR89))
    copper = Pet(half_life=CU64, nuclide=("SCT", "3932008"), start_date_time=f"{DAY}0900")
    assert factor_of(copper) == pytest.approx(by_hand(3600, CU64))
    carbon = Pet(half_life=C11, nuclide=("SRT", "C-105A1"), start_date_time=f"{DAY}0930")
    assert factor_of(carbon) == pytest.approx(by_hand(1800, C11))


def test_an_injection_for_which_the_dose_is_not_decayed_is_checked_all_the_same() -> None:
    for start in (f"{DAY}120000", f"{DAY_BEFORE}090000", f"{DAY_AFTER}090000"):
        assert "(0018,1078)" in refusal_of(Pet(decay_correction="ADMIN", start_date_time=start))
    unstated = Pet(decay_correction="ADMIN", start_date_time=None, start_time=None)
    assert factor_of(unstated) == WEIGHT * 1000 / DOSE
