"""SUV of the made series against two other programs, whose answers are frozen, and against the formula by hand."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from dicom_io.images.pixels.suv.pet_scale import PetUnit, pet_scale
from tests.support.pet_cases import CASES, SUL_CASES, VENDORS
from tests.support.pet_headers import pet_headers
from tests.support.pet_references import (
    FROZEN,
    MIRP_PYTHON,
    NODE,
    ask_calculate_suv,
    ask_mirp,
    headers_of,
    inputs,
)

TOLERANCE = 1e-3
REFERENCES = json.loads(FROZEN.read_text(encoding="utf-8"))
PROGRAMS = ("calculate-suv", "mirp")
DOCS = Path(__file__).parents[5] / "docs" / "suv.md"

DIFFERENCES = {
    **{(f"admin_{vendor}", "calculate-suv"): "decays the dose" for vendor in VENDORS},
    ("slope_per_slice_admin", "calculate-suv"): "decays the dose",
    ("counts_activity_admin", "calculate-suv"): "decays the dose",
    ("midnight_time_only", "calculate-suv"): "refuses",
    ("rewritten_series_time_first_bed_missing", "calculate-suv"): "takes the earliest acquisition",
    ("rewritten_series_time_ge_without_its_own", "mirp"): "takes GE's Frame Reference Time for the frame's start",
    ("delayed_second_scan_with_the_first_ones_time", "mirp"): "takes the frames' times before Series Time",
    ("times_to_the_minute", "mirp"): "refuses",
    ("other_zone", "calculate-suv"): "reads no zone",
    ("other_zone", "mirp"): "reads no zone",
}
"""Series on which a program departs from the rule of ``docs/suv.md``."""


def differs(name: str, answer: Any, factors: tuple[float, ...], unit: PetUnit = PetUnit.SUV_BW) -> bool:
    if isinstance(answer, str):
        return True
    return answer[unit] != pytest.approx(factors, rel=TOLERANCE)


def ours(headers: list[Dataset], unit: PetUnit = PetUnit.SUV_BW) -> tuple[float, ...]:
    return pet_scale(headers, unit).factors


@pytest.mark.parametrize("name", CASES)
def test_each_case_is_the_formula_by_hand(name: str) -> None:
    assert ours(pet_headers(CASES[name].pet)) == pytest.approx(CASES[name].by_hand(), rel=1e-7)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", CASES)
def test_each_case_is_a_programs_answer_or_a_stated_difference(name: str, program: str) -> None:
    found = ours(headers_of(REFERENCES["inputs"][name]))
    assert differs(name, REFERENCES[program]["answers"][name], found) == ((name, program) in DIFFERENCES)


@pytest.mark.parametrize(
    ("program", "unit"),
    [
        ("calculate-suv", PetUnit.SUL_LBMJANMA),
        ("mirp", PetUnit.SUL_LBMJANMA),
        ("mirp", PetUnit.SUL_LBMJAMES128),
    ],
)
@pytest.mark.parametrize("name", SUL_CASES)
def test_lean_body_mass_is_a_programs_answer(name: str, program: str, unit: PetUnit) -> None:
    found = ours(headers_of(REFERENCES["inputs"][name]), unit)
    assert not differs(name, REFERENCES[program]["answers"][name], found, unit)


def test_the_table_covers_forty_headers_and_says_which_are_by_hand_alone() -> None:
    alone = [name for name in CASES if all((name, program) in DIFFERENCES for program in PROGRAMS)]
    assert alone == ["other_zone"]
    assert len(CASES) - len(alone) >= 40
    page = DOCS.read_text(encoding="utf-8")
    for name, program in DIFFERENCES:
        vendor = name.rpartition("_")[2]
        assert f"`{name}`" in page or f"`{name.removesuffix(vendor)}*`" in page, (name, program)
    for program in PROGRAMS:
        assert f"{program} {REFERENCES[program]['version']}".replace("mirp", "MIRP") in page


def test_the_frozen_inputs_are_the_made_headers() -> None:
    assert inputs() == REFERENCES["inputs"]


# Programs of others that no index of this project's has: the tests exist where somebody has installed them, and the
# frozen answers are compared everywhere.
if NODE is not None and os.environ.get("NODE_PATH"):

    @pytest.mark.peers
    def test_the_frozen_answers_of_calculate_suv_are_what_it_says() -> None:
        check_live(ask_calculate_suv(), "calculate-suv")


if MIRP_PYTHON is not None:

    @pytest.mark.peers
    def test_the_frozen_answers_of_mirp_are_what_it_says(tmp_path: Path) -> None:
        check_live(ask_mirp(tmp_path), "mirp")


def check_live(live: dict[str, Any], program: str) -> None:
    frozen = REFERENCES[program]
    if live["version"] != frozen["version"]:
        pytest.skip(f"{program} {live['version']} is installed, and {frozen['version']} is frozen")
    for name, answer in frozen["answers"].items():
        if isinstance(answer, str):
            assert live["answers"][name] == answer
        else:
            for unit, factors in answer.items():
                assert live["answers"][name][unit] == pytest.approx(factors, rel=1e-6), (name, unit)
