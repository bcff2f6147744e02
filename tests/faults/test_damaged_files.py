"""Damaged image files in a fixed number: none gives an image that nobody wrote; ``make test-long`` reads many more."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.damaged_files import outcomes
from tests.faults.table import FAULT
from tests.support.image_files import FORMS

TRIES = 200


def test_no_damaged_file_gives_another_image(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    record_property(FAULT, f"{TRIES} image files cut or with flipped bits")
    seen = Counter(outcomes(tmp_path, TRIES, seed=0))
    assert seen.total() == TRIES
    assert {how for (how, _), _ in seen.items()} == {f"{what} {name}" for what in ("cut", "flipped") for name in FORMS}
    assert [key for key in seen if key[1] == "another image"] == []


def test_damage_that_goes_unseen_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.damaged_files.unchecked", lambda content, name: set(range(len(content) - 400)))
    assert "another image" in {came for _, came in outcomes(tmp_path, 60, seed=0)}
