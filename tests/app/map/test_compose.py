"""``docker/compose.yaml``, as far as it can be checked without Docker."""

import re
from typing import Any

import yaml

from app.settings.destination import DicomDestination
from app.settings.node import load_settings
from core.project_files import PROJECT

FOLDER = PROJECT / "docker"


def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    return content


def targets() -> set[str]:
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    return set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE))


def test_the_dockerfile_has_the_targets_that_are_built() -> None:
    assert {"listener", "worker-cpu", "worker-cuda", "map"} <= targets()
    built = {service["build"]["target"] for service in compose()["services"].values() if "build" in service}
    assert built == {"listener", "worker-cpu"}


def test_every_image_ends_on_its_signal_as_nobody_and_says_how_it_is() -> None:
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    stages = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM|\Z)", text, re.MULTILINE | re.DOTALL))
    assert "STOPSIGNAL SIGTERM" in stages["python"]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", stages["python"], re.MULTILINE)
    for name in ("listener", "worker-cpu", "worker-cuda", "map"):
        assert "HEALTHCHECK" in stages[name]
        assert "ENTRYPOINT [" in stages[name]
        assert "USER" not in stages[name]


def test_the_parts_of_the_node_share_spool_and_settings() -> None:
    services = compose()["services"]
    for name in ("listener", "worker"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert "spool:/var/lib/segnode" in services[name]["volumes"]
        assert any(volume.endswith(":/etc/segnode/node.yaml:ro") for volume in services[name]["volumes"])
    assert services["worker"]["hostname"]


def test_the_wires_meet() -> None:
    """AE titles, hosts and ports of the PACS, the node and the database are each other's."""
    services = compose()["services"]
    settings = load_settings(FOLDER / "compose" / "node.yaml")
    orthanc = services["orthanc"]["environment"]
    destination = settings.destinations["orthanc"]
    assert isinstance(destination, DicomDestination)
    assert (destination.ae_title, destination.host) == (orthanc["ORTHANC__DICOM_AET"], "orthanc")
    modalities = yaml.safe_load(orthanc["ORTHANC__DICOM_MODALITIES"])
    assert modalities == {"segnode": [settings.ae_title, "listener", settings.port]}
    assert (
        settings.database == f"postgresql://{services['postgresql']['environment']['POSTGRES_USER']}@postgresql/segnode"
    )
    assert services["worker"]["environment"]["PGPASSWORD"] == services["postgresql"]["environment"]["POSTGRES_PASSWORD"]


def test_only_this_machine_reaches_what_has_a_known_password() -> None:
    for service in compose()["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
