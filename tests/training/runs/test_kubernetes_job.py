"""The example of a Kubernetes Job: against the schemas, Kueue's label, and what its command line asks for."""

import importlib.util
from typing import Any

import kubernetes_validate
import pytest
import yaml

from core.project_files import PROJECT
from training.runs.cluster_job import NUMBERS

JOB: dict[str, Any] = yaml.safe_load((PROJECT / "manifests" / "kubernetes" / "training" / "job.yaml").read_text())
(CONTAINER,) = JOB["spec"]["template"]["spec"]["containers"]


@pytest.mark.parametrize("version", ["1.29", "1.33"])
def test_job_fits_the_schema(version: str) -> None:
    kubernetes_validate.validate(JOB, version, strict=True)


def test_kueue_starts_it() -> None:
    assert JOB["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "training"
    assert JOB["spec"]["suspend"] is True


def test_each_index_has_a_run() -> None:
    command = CONTAINER["command"]
    assert importlib.util.find_spec(command[3]) is not None
    runs = command[5:]
    assert JOB["spec"]["completions"] == len(runs) == len(set(runs))
    assert JOB["spec"]["completionMode"] == "Indexed"
    assert "JOB_COMPLETION_INDEX" in NUMBERS


def test_pod_keeps_to_restricted() -> None:
    spec = JOB["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert CONTAINER["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}
