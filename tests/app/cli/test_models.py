"""``segnode models`` as a person and as a program use it."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk
from typer.testing import CliRunner

from app.cli.models import app
from core.errors import ConfigInvalid, PackageInvalid
from segmentation.backends.converted import conversions_of
from segmentation.package.hashes import SUMS
from segmentation.package.package import load_package, open_package
from tests.support import stock_nnunet as stock
from tests.support.tiny_models import make_results_folder, make_volume
from tests.support.totalsegmentator_folder import DATASETS, RESULTS, make_totalsegmentator
from tests.support.trained_folders import answered


@pytest.fixture(autouse=True)
def _models_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGNODE_MODELS", str(tmp_path / "models"))


def run(*arguments: str | Path) -> str:
    """Run a command; its error is raised as ``main`` would see it."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def run_json(*arguments: str | Path) -> Any:
    """Run a command with ``--json``; standard output is one JSON document and nothing else."""
    return json.loads(run(*arguments, "--json"))


def test_life_of_a_package(tmp_path: Path) -> None:
    source = make_results_folder(tmp_path / "source", "cascade")
    added = run_json("add", source, "--name", "liver")
    assert added["labels"] == {"liver": 1, "left kidney": 2, "tumour": 3}
    assert added["decide_lines"]
    (row,) = run_json("list")
    assert row["state"] == "undecided"
    assert row["sha256"] == added["sha256"]
    shown = run_json("show", "liver")
    assert shown["folds"] == {source.name: [0], "nnUNetTrainer__nnUNetPlans__3d_lowres": [0]}
    assert run_json("verify", "liver")["state"] == "undecided"
    assert ": orientation: `acquired` is right where" in run("verify", "liver")
    assert "liver" in run("list")
    assert "3d_cascade_fullres" in run("show", "liver")
    assert added["sha256"] in run("verify", "liver")
    removed = run_json("remove", "liver")
    assert removed["removed"].endswith("liver")
    assert run_json("list") == []
    assert "No packages" in run("list")


def test_add_asks_its_questions_and_names_the_next_two_commands(tmp_path: Path) -> None:
    source = make_results_folder(tmp_path / "source", "two_channels")
    text = run("add", source, "--name", "pair")
    path = tmp_path / "models" / "pair" / "model.yaml"
    assert f"{path} asks you, and no route or alias loads pair before. Answer, delete the comment:\n  line " in text
    assert "which series this is, e.g. by description" in text
    assert text.endswith(
        "Next:\n  segnode models verify pair --case IMAGE_0000.nii.gz --case IMAGE_0001.nii.gz "
        "--expect WHAT_NNUNET_PREDICTED.nii.gz\n  segnode run DICOM_FOLDER OUT --model pair\n"
    )


def test_life_of_a_composite(tmp_path: Path) -> None:
    make_totalsegmentator(tmp_path / "weights")
    added = run_json("add-totalsegmentator", tmp_path / "weights", "--name", "total")
    assert len(added["labels"]) == 117
    assert added["ensemble"] == []
    assert [len(values) for values in added["parts"].values()] == [24, 26, 18, 23, 26]
    assert [row["state"] for row in run_json("list")] == ["undecided"]
    assert [one["key"] for one in run_json("show", "total")["questions"]] == ["geometry"]
    package = answered(load_package(tmp_path / "models" / "total"))
    assert [row["state"] for row in run_json("list")] == ["ready"]
    assert run_json("show", "total")["orientation"] == "RAS"
    shown = re.sub(r"[\s│]", "", run("show", "total"))
    assert f"part{DATASETS[295]}/{RESULTS}:26labels,92to117" in shown
    assert run_json("verify", "total")["sha256"] == package.sha256 != added["sha256"]
    altered = tmp_path / "models" / "total" / "weights" / DATASETS[294] / RESULTS / "fold_0.safetensors"
    altered.write_bytes(b"")
    with pytest.raises(PackageInvalid, match=DATASETS[294]):
        run("verify", "total")
    assert run_json("remove", "total")["removed"].endswith("total")
    assert run_json("list") == []
    with pytest.raises(ConfigInvalid, match="no such folder"):
        run("add-totalsegmentator", tmp_path / "nowhere", "--name", "total")


def test_golden_case(tmp_path: Path) -> None:
    source = make_results_folder(tmp_path / "source", "3d_fullres", mirror_axes=None)
    files = stock.write_images(make_volume(shape=(10, 24, 22)), tmp_path / "images")
    stock.predict(source, files, tmp_path / "out")
    run("add", source, "--name", "tiny")
    arguments = ("verify", "tiny", "--case", files[0], "--device", "cpu", "--expect")
    outcome = run_json(*arguments, tmp_path / "out" / "case.nrrd")
    assert outcome["passed"]
    assert outcome["dice"] == {"liver": 1.0, "left kidney": 1.0, "tumour": 1.0}
    kept = (tmp_path / "models" / "tiny" / "commissioning.json").read_text()
    assert "case_0000" not in kept  # a file's name can be a patient's
    assert "passed" in run(*arguments, tmp_path / "out" / "case.nrrd")
    expected = sitk.ReadImage(str(tmp_path / "out" / "case.nrrd"))
    other = tmp_path / "other.nrrd"
    sitk.WriteImage(sitk.Cast(expected > 0, expected.GetPixelID()), str(other))
    with pytest.raises(PackageInvalid) as failed:
        run(*arguments, other)
    for words in (
        f"{tmp_path / 'models' / 'tiny'}: the golden case failed",
        f"mirroring off; step_size 0.5; folds {source.name} [0]; orientation acquired",
        "--disable_tta",
        "-step_size",
        "nnUNetv2_apply_postprocessing",
    ):
        assert words in str(failed.value)
    sitk.WriteImage(expected * 0, str(other))
    with pytest.raises(ConfigInvalid, match="proves nothing; take another"):
        run(*arguments, other)
    assert [case["passed"] for case in run_json("show", "tiny")["golden_cases"]] == [True, True, False]


def test_golden_case_needs_both_files_on_one_grid(tmp_path: Path) -> None:
    run("add", make_results_folder(tmp_path / "source", "3d_fullres"), "--name", "tiny")
    image = stock.write_images(make_volume(shape=(10, 24, 22)), tmp_path / "images")[0]
    other = stock.write_images(make_volume(shape=(10, 24, 23)), tmp_path / "other")[0]
    with pytest.raises(ConfigInvalid, match="go together"):
        run("verify", "tiny", "--case", image)
    with pytest.raises(ConfigInvalid, match="does not lie on the image's grid"):
        run("verify", "tiny", "--case", image, "--expect", other, "--device", "cpu")
    with pytest.raises(ConfigInvalid, match="the model needs 1 image"):
        run("verify", "tiny", "--case", image, "--case", image, "--expect", image, "--device", "cpu")
    (tmp_path / "text.nrrd").write_text("no image")
    with pytest.raises(ConfigInvalid, match="unreadable_image: its header has no end"):
        run("verify", "tiny", "--case", tmp_path / "text.nrrd", "--expect", image)


def test_damaged_and_uncommissioned_packages_are_rows_with_a_reason(tmp_path: Path) -> None:
    for name, trainer in (("sound", "nnUNetTrainer"), ("custom", "TrainerOfAClinic"), ("damaged", "nnUNetTrainer")):
        run("add", make_results_folder(tmp_path / name, "3d_fullres", trainer=trainer), "--name", name)
    (tmp_path / "models" / "damaged" / "manifest.json").write_text("{}")
    path = tmp_path / "models" / "sound" / "model.yaml"
    path.write_text(re.sub(r"#.*DECIDE.*", "", path.read_text()))
    states = {row["name"]: (row["state"], row["reason"]) for row in run_json("list")}
    assert states["sound"] == ("ready", None)
    assert states["custom"][0] == "not commissioned"
    assert "TrainerOfAClinic" in states["custom"][1]
    assert states["damaged"][0] == "invalid"
    assert "manifest.json: altered" in states["damaged"][1]
    assert "manifest.json: altered" in run("list").replace("\n", "")
    for name in ("custom", "damaged"):
        with pytest.raises(PackageInvalid):
            run("verify", name)
    with pytest.raises(PackageInvalid):
        run("show", "damaged")
    for name in ("custom", "damaged"):
        (tmp_path / "models" / name / SUMS).write_bytes(b"\xff\xfe no text")
    for name in ("sound", "damaged"):
        run("remove", name, "--yes")
    assert [row["name"] for row in run_json("list")] == ["custom"]


def test_several_folders_make_an_ensemble(tmp_path: Path) -> None:
    parent = make_results_folder(tmp_path / "source", "ensemble")
    folders = sorted(path for path in parent.iterdir() if path.is_dir())
    added = run_json("add", *folders, "--name", "both")
    assert added["ensemble"] == [folder.name for folder in folders]


def test_missing_package_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="no such file or folder"):
        run("add", tmp_path / "nothing", "--name", "tiny")
    with pytest.raises(ConfigInvalid, match="no model 'tiny'"):
        run("show", "tiny")


def test_removal_asks_first(tmp_path: Path) -> None:
    run("add", make_results_folder(tmp_path / "source", "3d_fullres"), "--name", "tiny")
    result = CliRunner().invoke(app, ["remove", "tiny"], input="n\n")
    assert result.exit_code == 1
    assert (tmp_path / "models" / "tiny").is_dir()


@pytest.mark.parametrize("command", ["add", "list", "show", "verify", "remove"])
def test_help_has_examples(command: str) -> None:
    text = run(command, "--help")
    assert f"  segnode models {command} " in text[text.index("Examples:") :]


def test_adding_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []

    @contextmanager
    def progress(title: str, *, shown: bool) -> Iterator[Callable[[float], None]]:
        assert (title, shown) == ("converting weights", True)
        yield told.append

    monkeypatch.setattr("app.cli.models.progress_of", progress)
    run("add", make_results_folder(tmp_path / "source", "3d_fullres", folds=(0, 1)), "--name", "tiny")
    assert told == [0.5, 1.0]


def test_loss_of_profile_fast_is_measured_and_shown(tmp_path: Path) -> None:
    run("add", make_results_folder(tmp_path / "source", "3d_fullres"), "--name", "tiny")
    stock.write_images(make_volume(shape=(10, 24, 22)), tmp_path / "images")
    assert run_json("show", "tiny")["measured"] == []
    assert "not with these weights" in run("show", "tiny")
    assert "worst case" in run("measure", "tiny", tmp_path / "images", "--device", "cpu")
    measured = run_json("measure", "tiny", tmp_path / "images", "--device", "cpu")
    (case,) = measured["cases"]
    assert case["losses"]["fast"]["dice"] == measured["worst_dice"]["fast"]
    assert measured["profiles"]["equal"]["mismatches"] == case["losses"]["equal"]["mismatches"]
    assert measured["used"] is None
    (shown,) = run_json("show", "tiny")["measured"]
    assert shown["cases"][0]["losses"] == case["losses"]
    assert "worst Dice" in run("show", "tiny")


@pytest.mark.usefixtures("openvino")
def test_add_converts_the_networks_beside_the_package(tmp_path: Path) -> None:
    run("add", make_results_folder(tmp_path / "source", "3d_fullres", folds=(0, 1)), "--name", "tiny")
    folder = Path(run_json("show", "tiny")["folder"])
    assert [one.read() is not None for one in conversions_of(open_package(folder))] == [True, True]


@pytest.mark.usefixtures("openvino")
def test_remove_takes_the_converted_networks_of_no_other_package(tmp_path: Path) -> None:
    source = make_results_folder(tmp_path / "source", "3d_fullres")
    for name in ("tiny", "twin"):
        run("add", source, "--name", name)
    (conversion,) = conversions_of(open_package(Path(run_json("show", "tiny")["folder"])))
    run("remove", "tiny", "--yes")
    assert conversion.place.is_dir()
    run("remove", "twin", "--yes")
    assert not conversion.place.exists()


def test_use_writes_the_profile_that_was_measured_and_says_so(tmp_path: Path) -> None:
    run("add", make_results_folder(tmp_path / "source", "3d_fullres"), "--name", "tiny")
    folder = Path(run_json("show", "tiny")["folder"])
    stock.write_images(make_volume(shape=(10, 24, 22)), tmp_path / "images")
    said = run("measure", "tiny", tmp_path / "images", "--device", "cpu", "--use")
    used = open_package(folder).used_profile
    assert used is not None
    assert f"model.yaml: profile: {used}" in " ".join(said.split())
    assert used in ("exact", "equal")  # fast loses labels of a random network
    measured = run_json("measure", "tiny", tmp_path / "images", "--device", "cpu", "--use", "--dice", "0.01")
    seconds = {profile: one["seconds"] for profile, one in measured["profiles"].items()}
    assert measured["used"] == min(seconds, key=lambda profile: seconds[profile])
    assert open_package(folder).config.inference.profile == measured["used"]
    with pytest.raises(ConfigInvalid, match="--dice says what --use may choose"):
        run("measure", "tiny", tmp_path / "images", "--dice", "0.9")
