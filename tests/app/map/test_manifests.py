"""Both manifests against the specification's fields and against what the official packager writes."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from holoscan_cli.common.utils import get_requested_gpus
from holoscan_cli.packager.config_reader import ApplicationConfiguration
from holoscan_cli.packager.models import Models
from holoscan_cli.packager.parameters import PackageBuildParameters
from holoscan_cli.runner.resources import get_shared_memory_size

from app.map.context import Image
from app.map.manifests import package_manifest
from core.errors import StudyRejected
from core.project_files import PROJECT
from core.volume import Geometry
from segmentation.inference.available_memory import Memory
from segmentation.inference.memory_estimate import check

HERE = Path(__file__).parent


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@pytest.fixture
def app(context: Path) -> dict[str, Any]:
    return read(context / "app.json")


@pytest.fixture
def pkg(context: Path) -> dict[str, Any]:
    return read(context / "pkg.json")


@pytest.fixture(scope="module")
def official(context: Path) -> Namespace:
    """Both manifests as the packager's own code fills them in; Docker comes after that, and is not needed."""
    parameters = PackageBuildParameters()
    parameters.models = Models().build(context / "models")
    parameters.application = context / "app"
    reader = ApplicationConfiguration()
    reader.read(context / "app.yaml")
    return Namespace(
        app=reader.populate_app_manifest(parameters).data, pkg=reader.populate_package_manifest(parameters).data
    )


@pytest.mark.parametrize("name", ["app", "pkg"])
def test_a_manifest_satisfies_its_schema(context: Path, name: str) -> None:
    schema = read(HERE / f"{name}.schema.json")
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(read(context / f"{name}.json"))


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("app", "version", 1.0),
        ("app", "type", "job"),
        ("app", "command", None),
        ("app", "readiness", None),
        ("app", "output", {"path": "output/", "formats": []}),
        ("pkg", "models", {"alpha": "/opt/holoscan/models/alpha"}),
        ("pkg", "resources", {"memory": "4 GB"}),
    ],
)
def test_the_schema_refuses_what_the_specification_does(context: Path, name: str, key: str, value: object) -> None:
    content = read(context / f"{name}.json") | {key: value}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(read(HERE / f"{name}.schema.json")).validate(content)


def path_of(text: object) -> Path:
    return Path(str(text))


def test_app_json_says_what_the_official_packager_says(app: dict[str, Any], official: Namespace) -> None:
    theirs = official.app
    for name, value in theirs["environment"].items():
        ours = app["environment"][name]
        # Relative paths start from the working directory.
        assert path_of(app["workingDirectory"]) / ours == path_of(theirs["workingDirectory"]) / value, name
    assert path_of(app["workingDirectory"]) == path_of(theirs["workingDirectory"])
    for key in ("apiVersion", "version", "timeout"):
        assert app[key] == theirs[key], key
    for key in ("input", "output"):
        assert path_of(app[key]["path"]) == path_of(theirs[key]["path"])
    # In its image the program is one folder that python runs; so it is here.
    assert json.loads(theirs["command"]) == [*app["command"].replace(" -u", "").split()]


def test_pkg_json_says_what_the_official_packager_says(pkg: dict[str, Any], official: Namespace) -> None:
    theirs = official.pkg
    for key in ("applicationRoot", "modelRoot"):
        assert path_of(pkg[key]) == path_of(theirs[key])
    assert pkg["resources"] == theirs["resources"]
    assert {one["name"]: str(path_of(pkg["modelRoot"]) / one["path"]) for one in pkg["models"]} == theirs["models"]


def test_the_official_runner_reads_our_resources(pkg: dict[str, Any], image: Image) -> None:
    assert get_requested_gpus(pkg) == 0
    assert get_shared_memory_size(pkg, worker=False, driver=False, fragments="", user_shm_size="config") == 64 * 2**20
    with_gpu = package_manifest(PROJECT / "manifests" / "map" / "pkg.json", "1.0.0", image.packages, "cuda")
    assert get_requested_gpus(with_gpu) == 1
    jsonschema.Draft202012Validator(read(HERE / "pkg.schema.json")).validate(with_gpu)


def test_the_memory_is_what_the_engine_asks_for(pkg: dict[str, Any], image: Image) -> None:
    memory = int(pkg["resources"]["memory"].removesuffix("Gi"))
    study = Geometry((600, 512, 512), (1.0, 500 / 512, 500 / 512), (0.0, 0.0, 0.0), np.eye(3))

    def run_in(gibibytes: int) -> None:
        for package in image.packages:
            check(package, study, "cpu", Memory(gibibytes * 2**30, gibibytes * 2**30), None)

    run_in(memory)
    with pytest.raises(StudyRejected):
        run_in(memory - 2)


def test_inputs_and_outputs_come_from_the_models(app: dict[str, Any]) -> None:
    assert [one["modalities"] for one in app["input"]["formats"]] == [["CT"], ["MR"]]
    assert [one["file"] for one in app["output"]["format"]["models"]] == [
        "<StudyInstanceUID>/alpha.seg.dcm",
        "<StudyInstanceUID>/beta.seg.dcm",
    ]


def test_the_workflow_runs_the_command_on_the_paths_of_the_manifest(app: dict[str, Any]) -> None:
    """``manifests/map/workflow.json``, for the Workflow Manager."""
    workflow = read(PROJECT / "manifests" / "map" / "workflow.json")
    tasks = {task["id"]: task for task in workflow["tasks"]}
    arguments = tasks["segment"]["args"]
    assert arguments["command"] == app["command"]
    for name, value in arguments.items():
        if name.startswith("env_"):
            assert app["environment"][name.removeprefix("env_")] == value
    assert {one["name"] for task in tasks.values() for one in task.get("task_destinations", [])} == {
        "segment",
        "export",
    }
    exported = {one["Name"] for one in tasks["export"]["export_destinations"]}
    assert exported <= set(workflow["informatics_gateway"]["export_destinations"])
