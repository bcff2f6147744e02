"""From prepared cases to a proven package by the commands: folds, cross-validation, package, evaluation.

One site is trained for all of them: two folds at once, each on a CPU of its own.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from core.image_files.reader import read_image
from segmentation.inference.engine import Engine
from segmentation.package.package import load_package
from tests.support import stock_nnunet
from tests.support.tiny_training import CASES, DATASET, prepared_site, segnode
from training.settings import TrainingSettings

MODEL = "nnUNetTrainer__nnUNetPlans__3d_fullres"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> TrainingSettings:
    """A site with two folds of one model, and the same ones under another name of plans, for an ensemble."""
    site = prepared_site(tmp_path_factory.mktemp("site"), devices=["cpu", "cpu"])
    length = ("--epochs", "12", "--iterations", "5")
    said = segnode(site, "start", "Ball", "3d_fullres", "-f", "0", "-f", "1", *length, "--queue-only")
    assert said.splitlines() == [f"queued {DATASET}__{MODEL}__fold_{fold}" for fold in range(2)]
    segnode(site, "work", "--until-idle")
    return site


def test_status_and_logs_tell_how_it_went(site: TrainingSettings) -> None:
    facts = json.loads(segnode(site, "status", "--json"))
    assert [(one["state"], one["epoch"], one["epochs"], one["phase"]) for one in facts] == [
        ("done", 12, 12, "done")
    ] * 2
    assert all(one["dice"] > 0 and one["device"] == "cpu" for one in facts)
    assert "Mean Validation Dice" in segnode(site, "logs", "fold_1", "-n", "5")
    assert (site.folders.results / DATASET / MODEL / "fold_1" / "progress.png").stat().st_size > 1000


def test_package_infers_what_stock_nnunet_infers(site: TrainingSettings, tmp_path: Path) -> None:
    said = segnode(site, "package", "Ball", "--name", "ball", environment={"SEGNODE_MODELS": str(tmp_path)})
    assert "golden case ball_" in said
    assert "100.0000% of the voxels as stock nnU-Net's" in said
    package = load_package(tmp_path / "ball")
    image = site.folders.raw / DATASET / "imagesTr" / f"{CASES[2]}_0000.nii.gz"
    expected = stock_nnunet.predict(site.folders.results / DATASET / MODEL, [str(image)], tmp_path / "stock")
    found = Engine(package.in_profile("exact"), "cpu").segment(read_image([image], 1)).label_map.array
    assert np.array_equal(found, expected)
    assert found.any()


def test_best_compares_models_and_their_ensemble(site: TrainingSettings) -> None:
    base, prepared = site.folders.results / DATASET, site.folders.preprocessed / DATASET
    other = base / MODEL.replace("nnUNetPlans", "otherPlans")
    shutil.copytree(base / MODEL, other)
    plans = (
        (prepared / "nnUNetPlans.json").read_text().replace('"plans_name": "nnUNetPlans"', '"plans_name": "otherPlans"')
    )
    (prepared / "otherPlans.json").write_text(plans)
    try:
        found = json.loads(segnode(site, "best", DATASET, "--json"))
        assert set(found["scores"]) == {MODEL, other.name, f"ensemble___{MODEL}___{other.name}___0_1"}
        assert found["members"][0] == MODEL
        assert found["dice"] >= found["dice_before_postprocessing"] > 0
        report = Path(found["report"])
        assert {"figures.json", "figures.csv", "figures.png", "volumes.png"} <= {path.name for path in report.iterdir()}
        assert len(list(report.glob("worst-*.png"))) == len(CASES)
        figures = json.loads((report / "figures.json").read_text())
        assert figures["means"]["ball"]["dice"] == pytest.approx(found["dice"], abs=1e-6)
        own = segnode(
            site, "evaluate", str(site.folders.raw / DATASET / "labelsTr"), "7", "--out", str(report), "--json"
        )
        assert json.loads(own)["means"]["ball"] | {"true_ml": 0, "predicted_ml": 0} == {
            "dice": 1.0,
            "hd95_mm": 0.0,
            "true_ml": 0,
            "predicted_ml": 0,
        }
    finally:
        shutil.rmtree(other)
        (base / "inference_information.json").unlink(missing_ok=True)
