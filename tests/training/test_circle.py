"""From prepared cases to a proven package by the commands: folds, cross-validation, package, evaluation.

One site is trained for all of them: two folds at once, each on a CPU of its own.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from core.image_files.reader import read_image
from segmentation.inference.engine import Engine
from segmentation.package.package import load_package
from segmentation.package.weights import read_weights
from tests.support import stock_nnunet
from tests.support.tiny_training import CASES, DATASET, prepared_site, segnode
from training.runs.records import RunFolder
from training.settings import TrainingSettings

MODEL = "nnUNetTrainer__nnUNetPlans__3d_fullres"
EPOCHS = 8


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> TrainingSettings:
    """A site with two folds of one model."""
    site = prepared_site(tmp_path_factory.mktemp("site"), devices=["cpu", "cpu"])
    length = ("--epochs", str(EPOCHS), "--iterations", "5")
    said = segnode(site, "start", "Ball", "3d_fullres", "-f", "0", "-f", "1", *length, "--queue-only")
    assert said.splitlines() == [f"queued {DATASET}__{MODEL}__fold_{fold}" for fold in range(2)]
    segnode(site, "work", "--until-idle")
    return site


@pytest.fixture(scope="module")
def models(site: TrainingSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with a package of what was trained."""
    folder = tmp_path_factory.mktemp("models")
    said = segnode(site, "package", "Ball", "--name", "ball", environment={"SEGNODE_MODELS": str(folder)})
    assert "golden case ball_" in said
    assert "100.0000% of the voxels as stock nnU-Net's" in said
    return folder


def test_status_and_logs_tell_how_it_went(site: TrainingSettings) -> None:
    facts = json.loads(segnode(site, "status", "--json"))
    assert [(one["state"], one["epoch"], one["epochs"], one["phase"]) for one in facts] == [
        ("done", EPOCHS, EPOCHS, "done")
    ] * 2
    assert all(one["dice"] > 0 and one["device"] == "cpu" for one in facts)
    assert "Mean Validation Dice" in segnode(site, "logs", "fold_1", "-n", "5")
    assert (site.folders.results / DATASET / MODEL / "fold_1" / "progress.png").stat().st_size > 1000


def test_package_infers_what_stock_nnunet_infers(site: TrainingSettings, models: Path, tmp_path: Path) -> None:
    package = load_package(models / "ball")
    image = site.folders.raw / DATASET / "imagesTr" / f"{CASES[2]}_0000.nii.gz"
    expected = stock_nnunet.predict(site.folders.results / DATASET / MODEL, [str(image)], tmp_path / "stock")
    found = Engine(package.in_profile("exact"), "cpu").segment(read_image([image], 1)).label_map.array
    assert np.array_equal(found, expected)
    assert found.any()


def test_a_training_begins_with_the_weights_of_a_package(site: TrainingSettings, models: Path) -> None:
    asked = ("start", "Ball", "3d_fullres", "-f", "all", "--from", "ball", "--queue-only")
    said = segnode(site, *asked, environment={"SEGNODE_MODELS": str(models)})
    run = RunFolder(site.folders.queue / said.removeprefix("queued ").strip())
    given = torch.load(run.request().pretrained or "", weights_only=True)["network_weights"]
    shutil.rmtree(run.path)
    file = models / "ball" / load_package(models / "ball").manifest.configurations[0].folds[0].file
    held = read_weights(file.read_bytes(), file.name)
    assert held.keys() == given.keys()
    assert all(torch.equal(given[name], held[name]) for name in held)


@pytest.fixture
def twin(site: TrainingSettings) -> Iterator[str]:
    """The same model under another name of plans, for an ensemble."""
    base, prepared = site.folders.results / DATASET, site.folders.preprocessed / DATASET
    other = base / MODEL.replace("nnUNetPlans", "otherPlans")
    shutil.copytree(base / MODEL, other)
    plans = (prepared / "nnUNetPlans.json").read_text()
    named = plans.replace('"plans_name": "nnUNetPlans"', '"plans_name": "otherPlans"')
    (prepared / "otherPlans.json").write_text(named)
    yield other.name
    shutil.rmtree(other)
    (base / "inference_information.json").unlink(missing_ok=True)


@pytest.mark.filterwarnings("ignore:.*inference_instructions:pytest.PytestUnraisableExceptionWarning")  # nnU-Net's
def test_best_compares_models_and_their_ensemble(
    site: TrainingSettings, twin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.processor.usable_cores", lambda: 1)  # each process of nnU-Net's loads torch
    found = json.loads(segnode(site, "best", DATASET, "--json"))
    assert set(found["scores"]) == {MODEL, twin, f"ensemble___{MODEL}___{twin}___0_1"}
    assert found["members"][0] == MODEL
    assert found["dice"] >= found["dice_before_postprocessing"] > 0
    report = Path(found["report"])
    assert {"figures.json", "figures.csv", "figures.png", "volumes.png"} <= {path.name for path in report.iterdir()}
    assert len(list(report.glob("worst-*.png"))) == len(CASES)
    figures = json.loads((report / "figures.json").read_text())
    assert figures["means"]["ball"]["dice"] == pytest.approx(found["dice"], abs=1e-6)
    assert figures["without_prediction"] == []
    own = segnode(site, "evaluate", str(site.folders.raw / DATASET / "labelsTr"), "7", "--out", str(report), "--json")
    assert json.loads(own)["means"]["ball"] | {"true_ml": 0, "predicted_ml": 0} == {
        "dice": 1.0,
        "hd95_mm": 0.0,
        "true_ml": 0,
        "predicted_ml": 0,
    }
