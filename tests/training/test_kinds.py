"""Other kinds than one 3D U-Net, by the commands: a residual encoder in 2D that nnU-Net plans, and a cascade.

One site serves both, and one worker the first runs of both.
"""

import json
from pathlib import Path

import pytest

from segmentation.package.package import load_package
from tests.support.tiny_training import CASCADE, CASES, DATASET, prepared_site, segnode
from training.runs.checkpoints import FINAL
from training.runs.records import RunRequest
from training.settings import TrainingSettings

PLANS = "nnUNetResEncUNetMPlans"
SHORT = ("--epochs", "1", "--iterations", "1", "--queue-only")
RESIDUAL = RunRequest(dataset=DATASET, configuration="2d", fold="all", plans=PLANS)
FIRST_STAGE = RunRequest(dataset=DATASET, configuration="3d_lowres", fold=0)
SECOND_STAGE = RunRequest(dataset=DATASET, configuration="3d_cascade_fullres", fold=0)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> TrainingSettings:
    """A site with a trained residual encoder and a trained first stage; its one fold validates every case."""
    site = prepared_site(tmp_path_factory.mktemp("site"), CASCADE)
    base = site.folders.preprocessed / DATASET
    (base / "splits_final.json").write_text(json.dumps([{"train": CASES[:2], "val": CASES}]))
    (base / "dataset_fingerprint.json").unlink()
    said = segnode(site, "plan", "Ball", "--planner", "resenc-m", "--configuration", "2d", "--workers", "1")
    assert f"{DATASET} {PLANS} 2d: patch " in said
    assert "prepared 4 cases, 0 were prepared before" in said
    assert f"next: segnode train start {DATASET} 2d --plans {PLANS}" in said
    segnode(site, "start", "7", "2d", "-f", "all", "--plans", PLANS, *SHORT)
    segnode(site, "start", "7", "3d_lowres", *SHORT)
    segnode(site, "work", "--until-idle")
    return site


def state_of(site: TrainingSettings, request: RunRequest) -> tuple[str, int, str]:
    (facts,) = json.loads(segnode(site, "status", request.key, "--json"))
    return facts["state"], facts["epoch"], facts["reason"]


def test_residual_encoder_is_planned_and_trained_in_two_dimensions(site: TrainingSettings) -> None:
    plans = json.loads((site.folders.preprocessed / DATASET / f"{PLANS}.json").read_text())
    assert "ResidualEncoderUNet" in plans["configurations"]["2d"]["architecture"]["network_class_name"]
    assert state_of(site, RESIDUAL) == ("done", 1, "")
    assert (RESIDUAL.output(site.folders) / FINAL).is_file()
    assert (site.folders.preprocessed / DATASET / "planning.log").stat().st_size > 0


def test_cascade_is_trained_after_its_first_stage(site: TrainingSettings, tmp_path: Path) -> None:
    assert state_of(site, FIRST_STAGE) == ("done", 1, "")
    segnode(site, "start", "7", "3d_cascade_fullres", *SHORT)
    segnode(site, "work", "--until-idle")
    assert state_of(site, SECOND_STAGE) == ("done", 1, "")
    named = ("--configuration", "3d_cascade_fullres", "--name", "cascade")
    said = segnode(site, "package", "Ball", *named, environment={"SEGNODE_MODELS": str(tmp_path)})
    assert "100.0000% of the voxels as stock nnU-Net's" in said or "no golden case" in said
    held = [one.id.rpartition("__")[2] for one in load_package(tmp_path / "cascade").manifest.configurations]
    assert sorted(held) == ["3d_cascade_fullres", "3d_lowres"]
