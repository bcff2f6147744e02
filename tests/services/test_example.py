"""The example starts as it is with the demonstration model; a checkout has a phantom model for each other task."""

from pathlib import Path

import pytest
import yaml

from phantom import Phase, make_phantom, trunk_geometry
from phantom.series import write_series
from segnode_client import Client
from tests.support.node_process import ROOT
from tests.support.service_process import ServiceProcess

pytestmark = pytest.mark.slow

PHASES: tuple[Phase, ...] = ("A", "P", "D")
TASKS = ("totalseg", "vessel", "ureter", "tumor")
NAMES = ("total_P.nii.gz", "vessel_A.nii.gz", "ureter_D.nii.gz", "tumor_P.nii.gz")


def test_the_example_answers_every_task_for_folders_of_dicom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGNODE_MODELS", raising=False)
    service = ServiceProcess(tmp_path, tmp_path / "cases", tmp_path)
    ports = {"grpc": {"port": service.grpc_port}, "rest": {"port": service.rest_port}}
    example = yaml.safe_load((ROOT / "manifests" / "service.example.yaml").read_text())
    service.config.write_text(yaml.safe_dump(example | ports))
    grid = trunk_geometry((5.0, 3.0, 3.0), extent=(170.0, 150.0, 230.0), centre=(0.0, 25.0, -30.0))
    phantoms = {phase: make_phantom(grid, phase=phase, seed=641) for phase in PHASES}
    for phase, phantom in phantoms.items():
        write_series(phantom, tmp_path / "cases" / "0001" / phase)
    service.start()
    try:
        with Client(service.grpc, timeout_s=500) as client:
            shown = client.totalseg("cases:0001/P")
            for task in TASKS:
                service.run_command("aliases", "set", task, f"{task}-phantom", "--config", str(service.config))
            masks = {
                "totalseg": client.totalseg("cases:0001/P"),
                "vessel": client.vessel("cases:0001/A", "cases:0001/P"),
                "ureter": client.ureter("cases:0001/D"),
                "tumor": client.tumor("cases:0001/P"),
            }
    finally:
        service.stop()
    assert shown.model == "demo"
    assert shown.volumes_ml["bone"] == pytest.approx(phantoms["P"].volume_ml("bone"), rel=0.3)
    assert {task: mask.model for task, mask in masks.items()} == {task: f"{task}-phantom" for task in masks}
    folder = tmp_path / "cases" / "0001" / "mask"
    assert {path.name for path in folder.glob("*.nii.gz")} == set(NAMES)
    kidneys = phantoms["P"].volume_ml("kidney_right", "kidney_left")
    assert masks["tumor"].volumes_ml["kidney"] == pytest.approx(kidneys, rel=0.15)
    assert masks["tumor"].volumes_ml["tumour"] == pytest.approx(phantoms["P"].volume_ml("kidney_tumour"), rel=0.3)
    assert masks["totalseg"].volumes_ml["kidney_left"] == pytest.approx(phantoms["P"].volume_ml("kidney_left"), rel=0.2)
