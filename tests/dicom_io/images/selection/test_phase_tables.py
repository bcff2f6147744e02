"""Descriptions of series as sites write them, each with its contrast phase: two tables, frozen before the rules."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from dicom_io.images.headers.instance import Instance
from dicom_io.images.headers.series import Series
from dicom_io.images.selection.phases import PhaseFinding, find_phases
from dicom_io.images.selection.traits import traits_of

TABLES = Path(__file__).parent / "phases"
HASHES = {
    "phases_first.json": "d68fa7247339e4ae12c3bb0cb3c040f0f828d1e884e27abe70ddab9f9bf773c8",
    "phases_second.json": "a0af8696db5109c766a75281e847855a4397888b7b488cd341f3c6d5a9cc98d2",
}
"""SHA-256 of each table; a label that seems wrong is listed in the documentation, never changed here."""
PHASES = {"native": "native", "arterial": "arterial", "portal_venous": "portal", "delayed": "delayed", "unknown": None}
"""The tables' names of phases, and this project's."""


@dataclass(frozen=True)
class Count:
    """The outcome of a table: ``wrong`` counts phases that are not the label."""

    wrong: int
    decided: int
    of: int
    """Of the entries whose words name a phase and are unambiguous."""


def decide(entry: dict[str, Any]) -> PhaseFinding:
    """Find the phase of an entry as of a study of one series."""
    header = Dataset()
    header.Modality = "CT"
    header.SeriesDescription, header.ProtocolName = entry["description"], entry["protocol"]
    header.StudyDescription, header.ContrastBolusAgent = entry["study"], entry["agent"]
    traits = traits_of(Series("1.2", (Instance(Path(), header, None),)))
    return find_phases([traits])["1.2"]


def count(entries: list[dict[str, Any]]) -> Count:
    found = [(entry, decide(entry).phase, PHASES[entry["phase"]]) for entry in entries]
    sure = [(phase, label) for entry, phase, label in found if entry["unambiguous"] and label is not None]
    return Count(
        wrong=sum(phase is not None and phase != label for _, phase, label in found),
        decided=sum(phase == label for phase, label in sure),
        of=len(sure),
    )


@pytest.mark.parametrize("name", HASHES)
def test_a_table_is_as_it_was_before_the_rules_were_written(name: str) -> None:
    assert hashlib.sha256((TABLES / name).read_bytes()).hexdigest() == HASHES[name]


def counted(name: str, record_property: Callable[[str, object], None]) -> Count:
    """Count a table, and keep the figures in the test's report."""
    found = count(json.loads((TABLES / name).read_text(encoding="utf-8")))
    record_property(name, str(found))
    return found


def test_the_first_table_has_no_wrong_phase_and_most_are_decided(
    record_property: Callable[[str, object], None],
) -> None:
    found = counted("phases_first.json", record_property)
    assert found.wrong == 0
    assert found.decided >= 0.85 * found.of


def test_the_second_table_gives_what_it_gave_when_it_was_run_once(
    record_property: Callable[[str, object], None],
) -> None:
    """The rules were finished before this table was opened, and none was changed for it since."""
    assert counted("phases_second.json", record_property) == Count(wrong=0, decided=99, of=109)
