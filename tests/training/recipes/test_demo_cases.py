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
    Case,
    MadeCase,
    Source,
    all_cases,
    case_list,
    load_case,
    sha256,
    source_files,
)
from training.recipes.disguises import Disguise
from training.recipes.tissue_rule import BODY, BONE, LUNG

MODEL = Path(__file__).parents[3] / "models" / "demo"
MOST_BYTES = 8_000_000


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    [path] = MODEL.rglob("training_cases.json")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_shipped_list_names_the_files_on_disk(shipped: dict[str, Any], real_data: Callable[[str], Path]) -> None:
    """The weights are older than the recipe's present cases; what they saw is known file by file."""
    now = case_list(real_data("totalsegmentator").parent)["sources"]
    assert set(shipped["sources"]) == set(now)
    for name, source in shipped["sources"].items():
        assert source["files"].items() <= now[name]["files"].items()


def test_the_recipe_lists_its_masks_and_not_the_held_out_case(real_data: Callable[[str], Path]) -> None:
    data = real_data("totalsegmentator").parent
    files = {name for source in case_list(data)["sources"].values() for name in source["files"]}
    assert {source.masks[0] for source in SOURCES.values() if source.masks} <= files
    assert not any(HELD_OUT in name for name in files)
    assert not any("example_ct_sm" in name for name in files)


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
    made = {case.made.seed: case.validation for case in cases if case.made}
    assert list(made.values()).count(True) == 2
    assert len(cases) - len(made) > len(made)


def test_every_organ_is_bright_in_some_cases_and_dark_in_others() -> None:
    looks = [case.disguise for case in all_cases()]
    for organ in ("kidney", "vessel", "bowel", "bladder"):
        assert 0.4 < np.mean([organ in look.contrast for look in looks]) < 0.85
    assert 0.4 < np.mean([look.table > 0 for look in looks]) < 0.85


def test_held_out_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / HELD_OUT).mkdir()
    (tmp_path / HELD_OUT / "1.dcm").touch()
    monkeypatch.setitem(SOURCES, "wrong", Source(f"{HELD_OUT}/*.dcm", "", ""))
    with pytest.raises(ValueError, match="held-out"):
        source_files("wrong", tmp_path)
    with pytest.raises(FileNotFoundError):
        source_files("sts-001", tmp_path)


def test_a_made_case_has_its_spacing_and_its_labels_know_no_contrast(tmp_path: Path) -> None:
    made = MadeCase(1, "P", (10.0, 6.0, 6.0), -250.0, 100.0)
    plain = load_case(Case("plain", "phantom", Disguise(), made), tmp_path)
    filled = load_case(
        Case("filled", "phantom", Disguise(contrast={"kidney": 300.0, "bladder": 700.0}, table=4), made), tmp_path
    )
    assert plain[2] == filled[2] == (10.0, 6.0, 6.0)
    assert plain[0].shape == (35, 50, 67)
    np.testing.assert_array_equal(plain[1], filled[1])
    assert {BODY, LUNG, BONE} <= set(np.unique(plain[1]).tolist())
    assert (filled[0] > 250.0).sum() > (plain[0] > 250.0).sum()
