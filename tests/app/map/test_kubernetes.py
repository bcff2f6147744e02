"""The cluster's manifests: against the schemas of Kubernetes, Pod security "restricted", and against each other."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.settings.node import load_settings
from core.project_files import PROJECT

FOLDER = PROJECT / "manifests" / "kubernetes"
VERSIONS = ("1.29", "1.33")
OTHER_KINDS = {"Kustomization", "ScaledObject"}
"""Kinds that Kubernetes itself has no schema of."""

Document = dict[str, Any]


def documents(folder: Path) -> list[Document]:
    files = [path for path in sorted(folder.glob("*.yaml")) if path.name != "node.yaml"]
    return [one for path in files for one in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


BASE = documents(FOLDER / "base")


def only(kind: str, name: str) -> Document:
    (found,) = [one for one in BASE if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def merged(target: Any, patch: Any) -> Any:
    """A strategic merge as far as the patches here need one: lists of named things by name, other lists replaced."""
    if isinstance(target, dict) and isinstance(patch, dict):
        return {**target, **{key: merged(target.get(key), value) for key, value in patch.items()}}
    if isinstance(target, list) and patch and isinstance(patch[0], dict) and "name" in patch[0]:
        patches = {one["name"]: one for one in patch}
        return [merged(one, patches.get(one["name"], {})) for one in target]
    return patch


def pods() -> list[tuple[str, Document]]:
    (patch,) = [one for one in documents(FOLDER / "gpu") if one["kind"] == "StatefulSet"]
    found = [("listener", only("Deployment", "listener")), ("worker", only("StatefulSet", "worker"))]
    return [*found, ("gpu worker", merged(only("StatefulSet", "worker"), patch))]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_fits_the_schema(version: str) -> None:
    objects = [one for one in BASE if one["kind"] not in OTHER_KINDS] + [pod for _, pod in pods()]
    assert len(objects) >= 12
    for one in objects:
        kubernetes_validate.validate(one, version, strict=True)


def test_the_schema_finds_what_is_wrong() -> None:
    broken = merged(only("Deployment", "listener"), {"spec": {"replicas": "one"}})
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


@pytest.mark.parametrize(("name", "workload"), pods())
def test_pods_keep_to_restricted(name: str, workload: Document) -> None:
    """Kubernetes' Pod Security Standards, profile restricted, and a read-only root beside it."""
    spec = workload["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert {next(iter(volume.keys() - {"name"})) for volume in spec["volumes"]} <= {
        "configMap",
        "emptyDir",
        "persistentVolumeClaim",
    }
    for container in spec["containers"]:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["readOnlyRootFilesystem"] is True
        assert "memory" in container["resources"]["limits"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}
        ports = {port["name"] for port in container["ports"]}
        assert {
            container[f"{probe}Probe"]["httpGet"]["port"] for probe in ("startup", "liveness", "readiness")
        } <= ports


def test_the_namespace_enforces_restricted() -> None:
    labels = only("Namespace", "segnode")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_workers_have_stable_names_and_gpus_where_asked_for() -> None:
    worker = only("StatefulSet", "worker")
    assert only("Service", worker["spec"]["serviceName"])["spec"]["clusterIP"] == "None"
    (container,) = dict(pods())["gpu worker"]["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["image"] == "segnode-worker"
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]


def test_selectors_meet_the_pods() -> None:
    names = {workload["metadata"]["name"] for _, workload in pods()}
    for one in BASE:
        selector = one.get("spec", {}).get("selector") if one["kind"] == "Service" else None
        if selector:
            assert selector["app.kubernetes.io/name"] in names
    budget = only("PodDisruptionBudget", "worker")["spec"]["selector"]["matchLabels"]
    assert budget == only("StatefulSet", "worker")["spec"]["template"]["metadata"]["labels"]
    target = only("ScaledObject", "worker")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("StatefulSet", "worker")
    assert "replicas" not in only("StatefulSet", "worker")["spec"], "each apply would take back what KEDA asked for"


def test_scaling_asks_for_a_metric_that_there_is() -> None:
    (trigger,) = only("ScaledObject", "worker")["spec"]["triggers"]
    assert trigger["type"] == "prometheus"
    source = (PROJECT / "app" / "node" / "status_server.py").read_text(encoding="utf-8")
    assert trigger["metadata"]["query"].split("(")[1].split("{")[0] in source


def test_nothing_passes_but_what_is_named() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in BASE if one["kind"] == "NetworkPolicy"}
    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        for rule in [*policy.get("ingress", []), *policy.get("egress", [])]:
            assert rule["ports"], name
            assert rule.get("from") or rule.get("to"), name


def test_egress_to_a_pod_has_its_ingress() -> None:
    """The first policy closes every pod of the namespace, PostgreSQL's too."""
    policies = [one["spec"] for one in BASE if one["kind"] == "NetworkPolicy"]
    inside = [
        (policy["podSelector"], to["podSelector"], rule["ports"])
        for policy in policies
        for rule in policy.get("egress", [])
        for to in rule["to"]
        if "podSelector" in to
    ]
    assert inside
    for source, target, ports in inside:
        assert any(
            policy["podSelector"] == target and {"podSelector": source} in rule["from"] and rule["ports"] == ports
            for policy in policies
            for rule in policy.get("ingress", [])
        ), target


def test_secrets_come_by_reference() -> None:
    assert not [one for one in BASE if one["kind"] == "Secret"]
    text = "".join(path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.yaml"))
    assert "password:" not in text
    assert "secretKeyRef" in text


def test_the_settings_are_valid_and_fit_the_cluster() -> None:
    settings = load_settings(FOLDER / "base" / "node.yaml")
    (listener,) = only("Deployment", "listener")["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in listener["ports"]}
    assert settings.http is not None
    assert (settings.port, settings.http.port) == (ports["dicom"], ports["http"])
    assert settings.database.startswith("postgresql")
    assert "@" in settings.database
    mounts = {mount["name"]: Path(mount["mountPath"]) for mount in listener["volumeMounts"]}
    assert mounts["spool"] in settings.spool.parents
    assert mounts["settings"] == Path("/etc/segnode")


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_a_variant_names_an_image_for_every_container(variant: str) -> None:
    (kustomization,) = [one for one in documents(FOLDER / variant) if one["kind"] == "Kustomization"]
    assert all((FOLDER / variant / resource).is_dir() for resource in kustomization["resources"])
    named = {image["name"] for image in kustomization["images"]}
    used = {c["image"] for _, pod in pods() for c in pod["spec"]["template"]["spec"]["containers"]}
    assert named == used
    assert all((FOLDER / variant / patch["path"]).is_file() for patch in kustomization.get("patches", []))


def test_the_base_lists_every_file() -> None:
    (kustomization,) = [one for one in BASE if one["kind"] == "Kustomization"]
    files = {path.name for path in (FOLDER / "base").glob("*.yaml")} - {"kustomization.yaml", "node.yaml"}
    assert set(kustomization["resources"]) == files
