"""The record of the long runs, and the parts that are run again."""

import json
from pathlib import Path

import pytest

from tests.faults.kills.soak import Result
from tests.long_run import Part, figures_of, parts, run_all

pytestmark = pytest.mark.peers

PASSES = Part("passes", ("-c", "open('ran.txt', 'a').write('x'); print('kills       7')"))
FAILS = Part("fails", ("-c", "raise SystemExit(3)"))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.long_run.ROOT", tmp_path)


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "parts.jsonl").read_text().splitlines()]


def test_passed_part_is_not_run_again_and_failed_part_is(tmp_path: Path) -> None:
    assert not run_all([PASSES, FAILS], tmp_path, "abc")
    assert not run_all([PASSES, FAILS], tmp_path, "abc")
    assert [(row["part"], row["exit"]) for row in rows(tmp_path)] == [("passes", 0), ("fails", 3), ("fails", 3)]
    assert rows(tmp_path)[0]["figures"] == {"kills": 7.0}
    assert {"commit", "processor", "seconds", "ended"} <= set(rows(tmp_path)[0])


@pytest.mark.parametrize(
    ("at", "again", "runs"), [("abc", False, 1), ("abc", True, 2), ("other", False, 2), ("abc+", False, 2)]
)
def test_another_commit_or_a_request_runs_it_again(tmp_path: Path, at: str, again: bool, runs: int) -> None:
    assert run_all([PASSES], tmp_path, at if at.endswith("+") else "abc")
    assert run_all([PASSES], tmp_path, at, again=again)
    assert len((tmp_path / "ran.txt").read_text()) == runs


def test_parts_have_names_of_their_own() -> None:
    names = [part.name for part in parts()]
    assert len(names) == len(set(names)) > 10


def test_figures_are_those_of_the_soak_or_of_pytest() -> None:
    result = Result(seed=4, seconds=12.0)
    result.counts["studies"] = 9
    found = figures_of(result.table())
    assert (found["seed"], found["studies"], found["promises broken"]) == (4, 9, 0)
    assert figures_of("....\n9 passed, 3357 deselected in 4.21s\n") == {"passed": 9}
