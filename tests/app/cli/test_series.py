"""``segnode series``: a table that fits a terminal, JSON by its schema, and nothing of the patient."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydicom.dataset import Dataset

from app.cli import series as command
from phantom.series import save_series
from tests.app.cli.conftest import Type
from tests.support.series_helpers import ct_series
from tests.support.several_volumes import of_plane, stack

DEMO = Path(__file__).parents[3] / "models" / "demo"
HEIGHTS = [4.0 * number for number in range(8)]
SCHEMA = Path(__file__).parents[3] / "docs" / "kinds" / "series.schema.json"
SECRETS = ("Phantom", "PHANTOM-1", "19700101", "liver of", "A1")


def echoes() -> list[Dataset]:
    made = [stack(n, HEIGHTS, EchoNumbers=n, EchoTime=2.3 * n, SeriesDescription="liver of X") for n in (1, 2)]
    return [image for images in made for image in images]


def with_scout() -> list[Dataset]:
    return [*stack("ct", HEIGHTS, modality="CT"), *of_plane(stack("s", [14.0], modality="CT"), (0, 1, 0, 0, 0, -1))]


def damaged() -> list[Dataset]:
    return stack("gap", [0.0, 4.0, 12.0, 16.0], modality="CT")


KINDS: dict[str, Callable[[], list[Dataset]]] = {
    "several": echoes,
    "scout": with_scout,
    "damaged": damaged,
    "plain": ct_series,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {name: tmp_path_factory.mktemp(name) for name in KINDS}
    for name, make in KINDS.items():
        save_series(make(), found[name])
    return found


@pytest.mark.parametrize("model", [(), ("--model", "demo")], ids=["no model", "model"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_table_fits_80_columns_and_names_nobody(
    typed: Type, folders: dict[str, Path], kind: str, model: tuple[str, ...]
) -> None:
    done = typed("series", folders[kind], *model)
    assert max(map(len, done.out.splitlines())) <= 80
    assert not [secret for secret in SECRETS if secret in done.out + done.err]


@pytest.mark.parametrize("model", [(), ("--model", "demo")], ids=["no model", "model"])
@pytest.mark.parametrize("kind", KINDS)
def test_json_is_by_its_schema(typed: Type, folders: dict[str, Path], kind: str, model: tuple[str, ...]) -> None:
    done = typed("series", folders[kind], *model, "--json")
    told = json.loads(done.out)
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(told)
    assert ("model" in told["studies"][0]) is bool(model)
    assert not [secret for secret in SECRETS if secret in done.out]


def volumes(out: str) -> list[dict[str, Any]]:
    (study,) = json.loads(out)["studies"]
    (series,) = study["series"]
    found: list[dict[str, Any]] = series["volumes"]
    return found


def test_it_shows_the_volumes_of_a_series(typed: Type, folders: dict[str, Path]) -> None:
    done = typed("series", folders["several"])
    assert done.code == 0
    assert "echo 1" in done.out
    assert "volume: {echo: 2}" in done.out
    found = volumes(typed("series", folders["several"], "--json").out)
    assert [one["volume_rule"] for one in found] == [{"echo": 1}, {"echo": 2}]
    assert [one["geometry"]["slices"] for one in found] == [8, 8]


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("scout", 0, "taken for channel CT"),
        ("several", 3, "the study has MR, the model takes CT"),
        ("damaged", 3, "missing_slice"),
        ("plain", 0, "model demo: has all it needs"),
    ],
)
def test_it_says_what_a_model_would_take(
    typed: Type, folders: dict[str, Path], kind: str, code: int, words: str
) -> None:
    done = typed("series", folders[kind], "--model", "demo")
    assert done.code == code
    assert words in " ".join(done.out.split())


def test_it_says_what_would_run_with_any_geometry(
    typed: Type, real_data: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(DEMO, tmp_path / "upright")
    model = tmp_path / "upright" / "model.yaml"
    model.write_text(model.read_text().replace("name: demo", "name: upright").replace("any\n", "regular\n"))
    monkeypatch.setenv("SEGNODE_MODELS", str(tmp_path))
    done = typed("series", real_data("head-tilt-philips"), "--model", "upright")
    said = " ".join(done.out.split())
    assert done.code == 3
    assert said.count("It would run with geometry: any.") == 2  # of the series and of the study
    assert "would run with geometry: any; gantry_tilt" in typed("series", real_data("head-tilt-philips")).out


def test_a_series_that_is_no_volume_ends_with_0_where_no_model_asks(typed: Type, folders: dict[str, Path]) -> None:
    done = typed("series", folders["damaged"])
    assert done.code == 0
    assert "missing_slice" in done.out


def test_wrong_folders_and_models_end_with_2_and_3(typed: Type, folders: dict[str, Path], tmp_path: Path) -> None:
    assert typed("series", tmp_path / "absent").code == 2
    assert typed("series", folders["plain"], "--model", "no-such-model").code == 2
    (tmp_path / "note.txt").write_text("no image")
    done = typed("series", tmp_path)
    assert done.code == 3
    assert "no_dicom" in done.err


@pytest.mark.parametrize(("quiet", "shown"), [(0.0, True), (3600.0, False)])
def test_progress_is_shown_where_reading_takes_long(
    typed: Type, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, quiet: float, shown: bool
) -> None:
    monkeypatch.setattr(command, "QUIET_SECONDS", quiet)
    done = typed("series", folders["plain"], "--json")
    assert ("segnode: reading headers" in done.err) is shown
    json.loads(done.out)
