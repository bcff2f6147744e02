"""A residual encoder in 2D, from nnU-Net's own planner to its last epoch, by the commands."""

import json
from pathlib import Path

import pytest

from tests.support.tiny_training import DATASET, make_site, segnode, write_raw
from training.runs.checkpoints import FINAL
from training.runs.records import RunRequest

PLANS = "nnUNetResEncUNetMPlans"


@pytest.mark.peers
def test_residual_encoder_is_planned_and_trained_in_two_dimensions(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    write_raw(site.folders.raw)
    said = segnode(site, "plan", "Ball", "--planner", "resenc-m", "--configuration", "2d", "--workers", "1")
    assert f"{DATASET} {PLANS} 2d: patch " in said
    assert "prepared 4 cases, 0 were prepared before" in said
    assert f"next: segnode train start {DATASET} 2d --plans {PLANS}" in said
    plans = json.loads((site.folders.preprocessed / DATASET / f"{PLANS}.json").read_text())
    assert "ResidualEncoderUNet" in plans["configurations"]["2d"]["architecture"]["network_class_name"]
    segnode(
        site, "start", "7", "2d", "-f", "all", "--plans", PLANS, "--epochs", "1", "--iterations", "1", "--queue-only"
    )
    segnode(site, "work", "--until-idle")
    (state,) = json.loads(segnode(site, "status", "--json"))
    assert (state["state"], state["epoch"]) == ("done", 1)
    request = RunRequest(dataset=DATASET, configuration="2d", fold="all", plans=PLANS)
    assert (request.output(site.folders) / FINAL).is_file()
