"""The demo weights have seen what their case list says, and never the held-out case."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.recipes.demo_cases import (
    HELD_OUT,
    SOURCES,
    Disguise,
    MadeCase,
    Source,
    all_cases,
    case_list,
    disguise,
    made_case,
    sha256,
    source_files,
)

MODEL = Path(__file__).parents[3] / "models" / "demo"
MOST_BYTES = 8_000_000


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    [path] = MODEL.rglob("training_cases.json")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_shipped_list_equals_the_output_of_the_script(
    shipped: dict[str, Any], real_data: Callable[[str], Path]
) -> None:
    """Equal to a list made now: the same cases, and the hashes of the files on disk."""
    data = real_data("totalsegmentator").parent
    assert shipped == json.loads(json.dumps(case_list(data)))


def test_held_out_case_was_not_seen(shipped: dict[str, Any], real_data: Callable[[str], Path]) -> None:
    held_out = {sha256(path) for path in real_data(HELD_OUT).rglob("*.dcm")}
    seen = {digest for source in shipped["sources"].values() for digest in source["files"].values()}
    assert len(held_out) > 40
    assert not held_out & seen
    assert not any(HELD_OUT in name for source in shipped["sources"].values() for name in source["files"])


def test_every_source_is_cited(shipped: dict[str, Any]) -> None:
    assert {case["source"] for case in shipped["cases"]} == {*shipped["sources"], "phantom"}
    assert all(source["licence"] and source["citation"] for source in shipped["sources"].values())


def test_weights_are_small() -> None:
    weights = [path for ending in ("*.safetensors", "*.pth") for path in MODEL.rglob(ending)]
    assert weights
    assert sum(path.stat().st_size for path in weights) <= MOST_BYTES


def test_case_names_are_unique_and_validation_is_not_trained_on() -> None:
    cases = list(all_cases())
    assert len({case.name for case in cases}) == len(cases)
    seeds = {case.recipe.seed: case.validation for case in cases if isinstance(case.recipe, MadeCase)}
    assert list(seeds.values()).count(True) == 2
    assert sum(isinstance(case.recipe, Disguise) for case in cases) > len(seeds)


def test_held_out_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / HELD_OUT).mkdir()
    (tmp_path / HELD_OUT / "1.dcm").touch()
    monkeypatch.setitem(SOURCES, "wrong", Source(f"{HELD_OUT}/*.dcm", "", ""))
    with pytest.raises(ValueError, match="held-out"):
        source_files("wrong", tmp_path)
    with pytest.raises(FileNotFoundError):
        source_files("sts-001", tmp_path)


def test_thick_slices_are_averages() -> None:
    array = np.arange(7, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32)
    thick, spacing = disguise(array, (2.0, 1.0, 1.0), Disguise(bottom=1, thick=3))
    np.testing.assert_array_equal(thick[:, 0, 0], [2.0, 5.0])
    assert spacing == (6.0, 1.0, 1.0)


def test_made_case_has_the_spacing_that_was_asked_for() -> None:
    array, spacing = made_case(MadeCase(1, "P", (10.0, 6.0, 6.0), -50.0, 50.0))
    assert spacing == (10.0, 6.0, 6.0)
    assert array.shape == (10, 50, 67)
