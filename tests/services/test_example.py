"""The example starts as it is, with the project's own models behind its tasks."""

from pathlib import Path

import pytest
import yaml

from phantom import make_phantom, trunk_geometry
from phantom.series import write_series
from segnode_client import Client
from tests.node_process import ROOT
from tests.services.service_process import ServiceProcess


def test_the_example_answers_for_a_folder_of_dicom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGNODE_MODELS", raising=False)
    service = ServiceProcess(tmp_path, tmp_path / "cases", tmp_path)
    ports = {"grpc": {"port": service.grpc_port}, "rest": {"port": service.rest_port}}
    example = yaml.safe_load((ROOT / "manifests" / "service.example.yaml").read_text())
    service.config.write_text(yaml.safe_dump(example | ports))
    write_series(make_phantom(trunk_geometry((30.0, 6.0, 6.0))), tmp_path / "cases" / "0001" / "ct")
    service.start()
    try:
        with Client(service.grpc, timeout_s=120) as client:
            mask = client.totalseg("cases:0001/ct")
    finally:
        service.stop()
    assert mask.model == "demo"
    assert mask.volumes_ml["body"] > 1000
    assert (tmp_path / "cases" / "0001" / "mask" / "total.nii.gz").exists()
