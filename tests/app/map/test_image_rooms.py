"""The program as an image holds it: nothing that it starts is in a room that was left out."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.map.context import image_rooms
from core.project_files import PROJECT
from tests.support.node_process import SEGNODE, NodeProcess, free_port

COMMAND = "from app.cli.main import main; main()"

_WITHOUT_THE_CHECKOUT = f"""
import sys
sys.path[:] = [entry for entry in sys.path if entry != {str(PROJECT)!r}]
"""


@pytest.fixture
def environment(context: Path, tmp_path: Path) -> dict[str, str]:
    """The image's ``PYTHONPATH``; the checkout, which an editable installation adds, is taken away in every process."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(_WITHOUT_THE_CHECKOUT)
    path = os.pathsep.join([str(tmp_path / "site"), str(context / "app")])
    return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def run(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own program


def test_the_copy_holds_the_images_rooms_and_is_what_runs(
    context: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    assert {path.parent.name for path in (context / "app").glob("*/__init__.py")} == set(image_rooms())
    seen = run(
        environment, tmp_path, "-c", "import core, importlib.util as u; print(core.__file__, u.find_spec('bench'))"
    )
    assert seen.stdout.split() == [str(context / "app" / "core" / "__init__.py"), "None"]


def test_help_is_shown(environment: dict[str, str], tmp_path: Path) -> None:
    done = run(environment, tmp_path, "-c", COMMAND, "--help")
    assert done.returncode == 0, done.stderr
    assert "serve" in done.stdout


@pytest.mark.parametrize("argument", ["alive", "show"])
def test_the_maps_entry_answers(argument: str, context: Path, environment: dict[str, str], tmp_path: Path) -> None:
    manifests = {f"HOLOSCAN_{name.upper()}_MANIFEST_PATH": str(context / f"{name}.json") for name in ("app", "pkg")}
    done = run(environment | manifests, tmp_path, str(context / "app"), argument)
    assert done.returncode == 0, done.stderr


def test_the_listener_takes_work(environment: dict[str, str], tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node", {"pacs": (free_port(), "PACS")}, program=SEGNODE)
    command = [sys.executable, "-c", COMMAND, "serve", "--config", str(node.config), "--only", "listener"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own program
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"ready ")
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
