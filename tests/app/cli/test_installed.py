"""The wheel, installed beside the development packages and without the checkout, called from a folder of anybody's."""

import json
import os
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from app.map.context import Image, write_context
from core.project_files import PROJECT
from core.version import VERSION
from phantom.anatomy import make_phantom, trunk_geometry
from phantom.series import make_series, save_series
from phantom.tags import StudyTags
from segmentation.package.package import load_package
from tests.e2e.conftest import make_model
from tests.support.node_process import free_port
from tests.support.serving import serving

Program = Callable[..., "subprocess.CompletedProcess[str]"]


def left_out(folder: str, names: list[str]) -> set[str]:
    """Say what no wheel is made of: what lies about at the top of a checkout, and caches everywhere."""
    at_the_top = {"build", "demo", "docs", "tests"} if Path(folder) == PROJECT else set()
    hidden = {name for name in names if name.startswith(".") and name != ".gitignore"}
    return at_the_top | hidden | {"__pycache__"}


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    subprocess.run(command, check=True)  # noqa: S603 - our own interpreter


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the checkout in which somebody tried the service on a patient, as the README shows."""
    copy, built = tmp_path_factory.mktemp("sources") / "segnode", tmp_path_factory.mktemp("wheel")
    shutil.copytree(PROJECT, copy, ignore=left_out)
    case = copy / "manifests" / "cases" / "0001"
    case.mkdir(parents=True)
    (case / "IM0001").write_text("a patient's image")
    (copy / "manifests" / "service.sqlite").write_text("a patient's jobs")
    # The index of packages is not asked, so that this needs none.
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", built, copy)
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the commands of an environment that has the wheel, and everything else from this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip("--python", python, "install", "--no-deps", "--no-index", wheel)
    (packages,) = folder.glob("lib/python*/site-packages")
    # Python reads no .pth file of a folder that a .pth file names, so the checkout of an editable installation is not
    # on the path; the wheel is found before what the development environment knows of segnode.
    (packages / "development.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return python.parent


@pytest.fixture
def anywhere(tmp_path: Path) -> Path:
    """A folder of somebody's own, with packages that have the names of two rooms."""
    folder = tmp_path / "anywhere"
    for name in ("app", "core"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise SystemExit('this is another program')\n")
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """Variables of a person who has set none of the program's."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("SEGNODE_", "PYTHON"))}
    return {**ours, "XDG_DATA_HOME": str(tmp_path / "data"), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def segnode(scripts: Path, anywhere: Path, environment: Mapping[str, str]) -> Program:
    """Call the installed command in that folder."""

    def call(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [str(scripts / "segnode"), *map(str, arguments)]
        env = {**environment, **variables}
        return subprocess.run(command, cwd=anywhere, env=env, capture_output=True, text=True, check=False)  # noqa: S603 - our own program

    return call


def test_the_wheel_holds_the_projects_files_and_nobodys_images(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    files = {name.removeprefix("segnode_project/") for name in names if name.startswith("segnode_project/")}
    tops = ("docker", "manifests", "models/demo")
    tracked = {path for top in tops for path in (PROJECT / top).rglob("*") if path.is_file()}
    ours = {path.relative_to(PROJECT).as_posix() for path in tracked}
    here = {name for name in ours if not name.startswith(("manifests/cases/", "manifests/service"))}
    assert files == here | {"manifests/service.example.yaml", "LICENSE", "constraints.txt", "pyproject.toml"}


def test_the_command_answers(segnode: Program) -> None:
    assert segnode("--version").stdout == f"segnode {VERSION}\n"
    assert "serve" in segnode("--help").stdout
    assert segnode("run", "--help").returncode == 0


def test_the_demonstration_model_is_there(segnode: Program, scripts: Path) -> None:
    done = segnode("models", "list", "--json")
    (row,) = json.loads(done.stdout)
    assert (row["name"], row["state"]) == ("demo", "ready")
    assert Path(row["folder"]).is_relative_to(scripts.parent)


def test_an_image_of_the_installed_program_is_that_of_the_checkout(segnode: Program, tmp_path: Path) -> None:
    demo = load_package(PROJECT / "models" / "demo")
    digest = write_context(Image("demo", "1.0.0", [demo], "cpu"), tmp_path / "of_the_checkout")
    done = segnode("package", "--model", "demo", "--tag", "demo:1.0.0", "--output", tmp_path / "map")
    assert done.returncode == 0, done.stderr
    assert f"digest  sha256:{digest}" in done.stdout


def test_missing_settings_are_reported_with_the_place_of_the_example(segnode: Program) -> None:
    for command, example in (("serve", "node.example.yaml"), ("api", "service.example.yaml")):
        done = segnode(command, "--config", "absent.yaml")
        assert done.returncode == 2
        named = Path(done.stderr.strip().rpartition("give a file like ")[2])
        assert named.name == example
        assert named.is_file()


def test_the_example_that_is_named_starts_a_node_where_it_is_copied_to(
    segnode: Program, scripts: Path, anywhere: Path, environment: Mapping[str, str]
) -> None:
    named = Path(segnode("serve", "--config", "node.yaml").stderr.strip().rpartition("give a file like ")[2])
    shutil.copy(named, anywhere / "node.yaml")
    port = free_port()
    command = [str(scripts / "segnode"), "serve", "--config", "node.yaml"]
    with serving(command, anywhere, {**environment, "SEGNODE_NODE__PORT": str(port)}) as line:
        assert line == f"ready ae=SEGNODE port={port}\n"
        assert "  worker: ready" in segnode("status", "--config", "node.yaml").stdout


def test_the_example_that_is_named_starts_a_service_where_it_is_copied_to(
    segnode: Program, scripts: Path, anywhere: Path, environment: Mapping[str, str]
) -> None:
    named = Path(segnode("api", "--config", "service.yaml").stderr.strip().rpartition("give a file like ")[2])
    shutil.copy(named, anywhere / "service.yaml")
    (anywhere / "cases").mkdir()
    grpc, rest = free_port(), free_port()
    command = [str(scripts / "segnode"), "api", "--config", "service.yaml"]
    ports = {"SEGNODE_SERVICE__GRPC__PORT": str(grpc), "SEGNODE_SERVICE__REST__PORT": str(rest)}
    with serving(command, anywhere, {**environment, **ports}) as line:
        assert line == f"ready grpc=127.0.0.1:{grpc} rest=127.0.0.1:{rest}\n"


@pytest.mark.slow
def test_a_study_is_segmented(segnode: Program, tmp_path: Path) -> None:
    study = StudyTags()
    geometry = trunk_geometry((12.0, 6.0, 6.0), extent=(180.0, 240.0, 300.0))
    save_series(make_series(make_phantom(geometry, phase="P"), study=study), tmp_path / "in")
    make_model(tmp_path / "models", tmp_path / "nnunet", "tiny", {"modality": ["CT"]})
    folders = ("-i", tmp_path / "in", "-o", tmp_path / "out")
    done = segnode("run", *folders, "--model", "tiny", "--device", "cpu", SEGNODE_MODELS=str(tmp_path / "models"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / study.uid / "tiny.seg.dcm").is_file()


@pytest.mark.slow
def test_the_demo_runs_in_any_folder(segnode: Program, anywhere: Path) -> None:
    done = segnode("demo")
    assert done.returncode == 0, done.stderr
    assert "SEG series of this study" in done.stdout
    assert list((anywhere / "demo").rglob("demo.seg.dcm"))
