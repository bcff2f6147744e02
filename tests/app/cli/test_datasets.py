"""``segnode datasets`` as a person and as a program use it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.datasets.commands import app
from core.errors import ConfigInvalid, PackageInvalid
from tests.support.data_sources import image_of, mask_of, nnunet_folder, write_image

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _datasets_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGNODE_DATASETS", str(tmp_path / "datasets"))


def run(*arguments: str | Path) -> str:
    """Run a command; its error is raised as ``main`` would see it."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def run_json(*arguments: str | Path) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_life_of_a_data_set(tmp_path: Path) -> None:
    source = nnunet_folder(tmp_path / "Dataset003_In", 3)
    first = run_json("register", "LIVER", source)
    assert (first["is_new"], first["cases"], first["folds"]) == (True, 3, 3)
    again = run("register", "LIVER", source)
    assert "is already there as" in again
    assert first["version"][:12] in again
    write_image(source / "imagesTr" / "c9_0000.nii.gz", image_of(9))
    write_image(source / "labelsTr" / "c9.nii.gz", mask_of(9))
    write_image(source / "labelsTr" / "c0.nii.gz", mask_of(3))
    second = run_json("register", "LIVER", source)
    assert second["folder"].endswith("Dataset102_LIVER")
    difference = run_json("diff", f"LIVER@{first['version'][:8]}", "LIVER")
    assert (len(difference["added"]), difference["removed"]) == (1, [])
    assert list(difference["changed"].values()) == [["mask"]]
    assert "splits" in difference["settings"]
    assert [row["version"] for row in run_json("list")] == [first["version"], second["version"]]
    assert run_json("show", "101")["version"] == first["version"]
    assert "as registered" in run("check", "LIVER")
    assert "tumour" in run("show", "LIVER")
    assert "no difference" in run("diff", "LIVER", "Dataset102_LIVER")


def test_check_names_the_file_that_was_changed(tmp_path: Path) -> None:
    folder = Path(run_json("register", "LIVER", nnunet_folder(tmp_path / "Dataset003_In", 2))["folder"])
    image = next((folder / "imagesTr").iterdir())
    image.unlink()
    with pytest.raises(PackageInvalid, match=rf"imagesTr/{image.name}: is missing"):
        run("check", "LIVER")


def test_damaged_lock_is_listed_as_such(tmp_path: Path) -> None:
    folder = Path(run_json("register", "LIVER", nnunet_folder(tmp_path / "Dataset003_In", 2))["folder"])
    (folder / "dataset.lock").write_text("{}", encoding="utf-8")
    assert "damaged" in run("list")
    with pytest.raises(PackageInvalid):
        run("show", "LIVER")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("register", "LI/VER", "x"), "not a valid name"),
        (("register", "LIVER", "nowhere"), "no such folder"),
        (("register", "LIVER", ".", "--image", "{case}.nii.gz"), "go together"),
        (("register", "LIVER", ".", "--labels", "none.yaml"), "none.yaml"),
        (("show", "LIVER"), "no data set 'LIVER'"),
        (("diff", "1", "2"), "no data set '1'"),
    ],
)
def test_wrong_arguments_are_told(arguments: tuple[str, ...], problem: str) -> None:
    with pytest.raises(ConfigInvalid, match=problem):
        run(*arguments)


def test_table_of_cases_names_patients(tmp_path: Path) -> None:
    source = nnunet_folder(tmp_path / "Dataset003_In", 4)
    table = tmp_path / "cases.csv"
    table.write_text("case,patient,labelled_by\nc0,A,Dr One\nc1,A,\nc2,B,\nc3,B,\n", encoding="utf-8")
    done = run_json("register", "LIVER", source, "--cases", table)
    assert (done["patients"], done["folds"]) == (2, 2)
    lock = run_json("show", "LIVER")
    assert sorted(case["labelled_by"] for case in lock["cases"].values()) == ["Dr One", *["not stated"] * 3]
    table.write_text("name,patient\nc0,A\n", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="expected the columns"):
        run("register", "LIVER", source, "--cases", table)


def test_nothing_of_nnunet_is_needed(tmp_path: Path) -> None:
    source = nnunet_folder(tmp_path / "Dataset003_In", 2)
    code = (
        "import sys\n"
        "for name in ('nnunetv2', 'torch', 'skimage', 'pandas', 'matplotlib'): sys.modules[name] = None\n"
        "from app.cli.main import main\n"
        f"sys.argv = ['segnode', 'datasets', 'register', 'LIVER', {str(source)!r}]\n"
        "main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - this Python
    assert done.returncode == 0, done.stderr
    assert "LIVER registered as" in done.stdout


def test_sites_settings_say_where_data_sets_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = "".join(f"  {name}: {tmp_path / name}\n" for name in ("raw", "preprocessed", "results", "queue"))
    (tmp_path / "training.yaml").write_text(f"folders:\n{folders}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEGNODE_DATASETS")
    done = run_json("register", "LIVER", nnunet_folder(tmp_path / "Dataset003_In", 2))
    assert Path(done["folder"]) == tmp_path / "raw" / "Dataset101_LIVER"
