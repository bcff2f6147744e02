"""The lists of ``docker/requirements`` hold what the images' programs import, and nothing else."""

import json
import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from app.map.distributions import read_names
from core.project_files import PROJECT
from phantom.anatomy import make_phantom, trunk_geometry
from phantom.series import make_series, save_series

LISTS = PROJECT / "docker" / "requirements"
NOT_IMPORTED = {
    "nvidia-cuda-runtime",  # a library, which cuda-pathfinder loads
    *("mdurl", "markdown-it-py", "pygments"),  # by rich, when it has something to render
    *("psycopg-binary", "greenlet"),  # inside of psycopg and of SQLAlchemy
    *("h11", "anyio", "httpcore", "certifi"),  # by httpx, when it is used
}
"""Distributions that are needed although importing the program does not load them."""

BLOCKER = """
import json, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Finder())
{program}
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})))
"""
RUN = "import app.__main__ as entry\nassert entry.main() == 0"
LISTENER = (
    "import app.node.listener, app.node.node, app.cli.main, app.cli.serve, app.cli.status, app.node.status_server"
)
WORKER = (
    "import app.graph, app.node.worker, app.graph_runner, app.workflow.delivery_step, app.workflow.notices\n"
    "import app.node.node, app.cli.main, app.cli.serve\n"
    "import psycopg, dbos, httpx, cc3d, safetensors.torch, highdicom, dynamic_network_architectures.architectures.unet"
)


def modules_outside(names: set[str]) -> list[str]:
    """Top-level modules of installed distributions that are not among the names."""
    allowed = {canonicalize_name(name) for name in names}
    return sorted(
        module
        for module, owners in packages_distributions().items()
        if not {canonicalize_name(owner) for owner in owners} & (allowed | {"segnode"})
        # Some distributions bring what Python has by now; setuptools' start-up file loads a part of it.
        and module not in {*sys.stdlib_module_names, "_distutils_hack"}
    )


def imported(lists: tuple[str, ...], program: str, environment: dict[str, str]) -> tuple[set[str], set[str]]:
    """Run a program that sees nothing but what the lists install; canonical names listed, and those imported."""
    names = {name for part in lists for name in read_names(LISTS / f"{part}.txt")}
    text = BLOCKER.format(blocked=set(modules_outside(names)), program=program)
    environment = {**os.environ, **environment}
    done = subprocess.run(  # noqa: S603 - our own interpreter and program text
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, cwd=PROJECT, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    owners = packages_distributions()
    used = {canonicalize_name(owner) for module in loaded for owner in owners.get(module, [])}
    return {str(canonicalize_name(name)) for name in names}, used


@pytest.mark.parametrize(
    ("lists", "program"),
    [(("listener",), LISTENER), (("run", "worker", "torch-cpu"), WORKER), (("run", "torch-cpu"), RUN)],
    ids=["listener", "worker", "run"],
)
def test_requirements_list_the_imported_distributions(
    lists: tuple[str, ...], program: str, context: Path, tmp_path: Path
) -> None:
    series = make_series(make_phantom(trunk_geometry((12.0, 6.0, 6.0), extent=(180.0, 240.0, 300.0)), phase="P"))
    save_series(series, tmp_path / "input")
    models = tmp_path / "models"
    models.mkdir()
    (models / "alpha").symlink_to(context / "models" / "alpha")
    places = {"INPUT": tmp_path / "input", "OUTPUT": tmp_path / "output", "MODEL": models}
    listed, used = imported(lists, program, {f"HOLOSCAN_{key}_PATH": str(path) for key, path in places.items()})
    assert listed - used - NOT_IMPORTED == set()


def test_the_listener_has_no_network_and_no_graph() -> None:
    heavy = {"torch", "scipy", "holoscan-cu13", "monai-deploy-app-sdk", "dbos", "highdicom", "SimpleITK"}
    assert not heavy & set(read_names(LISTS / "listener.txt"))
