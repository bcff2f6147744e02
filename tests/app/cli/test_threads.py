"""Every command that may load torch settles its threads before, in its own process or in the one that it starts."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
import SimpleITK as sitk
import yaml

from tests.support.node_process import ROOT, SEGNODE, NodeProcess, free_port

UNTIL_TORCH = """
import os, runpy, sys

def watch(event, arguments):
    if event == "import" and arguments[0] == "torch" and "torch" not in seen:
        seen.append("torch")
        import torch
        end("torch", str(torch.get_num_threads()))
    elif event == "subprocess.Popen" and arguments[1][1:3] == ["-P", "-m"]:
        environment = os.environ if arguments[3] is None else arguments[3]
        end("child", environment.get("OMP_NUM_THREADS"), environment.get("OMP_WAIT_POLICY"))

def end(*words):
    os.write(answer, ("\\n" + " ".join(words)).encode())
    os._exit(0)

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
answer, seen = os.dup(1), []  # a worker turns its standard output away
assert "torch" not in sys.modules
sys.addaudithook(watch)
module, *sys.argv[1:] = sys.argv[1:]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
Command = Callable[[Path], list[str]]


def node_yaml(folder: Path) -> str:
    return str(NodeProcess(folder / "node", {"pacs": (free_port(), "PACS")}, program=SEGNODE).config)


def service_yaml(folder: Path) -> str:
    path = folder / "service.yaml"
    settings = {
        "roots": {"cases": {"path": str(folder)}},
        "work": "service",
        "database": "service.sqlite",
        "models": str(ROOT / "models"),
        "aliases": {"totalseg": "demo"},
        "grpc": {"port": free_port()},
        "rest": {"port": free_port()},
    }
    path.write_text(yaml.safe_dump(settings))
    return str(path)


def golden_case(folder: Path) -> list[str]:
    image, mask = str(folder / "golden.nii.gz"), str(folder / "expected.nii.gz")
    sitk.WriteImage(sitk.Image(8, 8, 8, sitk.sitkInt16), image)
    sitk.WriteImage(sitk.Image(8, 8, 8, sitk.sitkInt16) + 1, mask)  # a mask without a label proves nothing
    return ["--case", image, "--expect", mask]


IN_PROCESS: Mapping[str, Command] = {
    "run": lambda folder: ["app.cli", "run", str(folder / "input"), str(folder / "out"), "--model", "demo"],
    "verify": lambda folder: ["app.cli", "models", "verify", "demo", *golden_case(folder)],
    "measure": lambda folder: ["app.cli", "models", "measure", "demo", str(folder)],
    "map": lambda folder: ["app"],
    "a node's worker": lambda folder: ["app.node.worker", node_yaml(folder), "1"],
    "a service's worker": lambda folder: ["services.worker", service_yaml(folder), "1"],
}
IN_CHILDREN: Mapping[str, Command] = {
    "serve": lambda folder: ["app.cli", "serve", "--config", node_yaml(folder)],
    "api": lambda folder: ["app.cli", "api", "--config", service_yaml(folder)],
    "demo": lambda folder: ["app.cli", "demo", "--work", str(folder / "demo")],
}


def until_torch(command: list[str], folder: Path, **own: str) -> subprocess.CompletedProcess[str]:
    strange = ("OMP_", "MKL_", "GOMP_", "OPENBLAS_", "HOLOSCAN_", "SEGNODE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    environment |= {"HOLOSCAN_WORKDIR": str(folder), "OMP_DISPLAY_ENV": "TRUE", "SEGNODE_MODELS": str(ROOT / "models")}
    (folder / "input").mkdir(exist_ok=True)
    (folder / "a_0000.nii.gz").touch()
    program = [sys.executable, "-c", UNTIL_TORCH, *command]
    silence, parent = os.pipe()  # a worker ends with its parent, which its standard input tells
    try:
        done = subprocess.Popen(  # noqa: S603 - our own interpreter and program text
            program,
            env=environment | own,
            stdin=silence,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
        stdout, stderr = done.communicate()
        with suppress(ProcessLookupError):  # the demonstration's PACS, whose end the program left to nobody
            os.killpg(done.pid, signal.SIGKILL)
        return subprocess.CompletedProcess(program, done.returncode, stdout, stderr)
    finally:
        os.close(silence)
        os.close(parent)


@pytest.mark.parametrize("name", IN_PROCESS)
def test_the_openmp_of_torch_waits_passively_on_the_cores_that_there_are(tmp_path: Path, name: str) -> None:
    done = until_torch(IN_PROCESS[name](tmp_path), tmp_path)
    assert done.stdout.splitlines()[-1:] == ["torch 1"], done.stderr
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr


@pytest.mark.parametrize("name", IN_CHILDREN)
def test_child_processes_inherit_it(tmp_path: Path, name: str) -> None:
    done = until_torch(IN_CHILDREN[name](tmp_path), tmp_path)
    assert done.stdout.splitlines()[-1:] == ["child 1 PASSIVE"], done.stderr


@pytest.mark.parametrize("name", IN_CHILDREN)
def test_child_processes_get_what_a_person_has_set(tmp_path: Path, name: str) -> None:
    done = until_torch(IN_CHILDREN[name](tmp_path), tmp_path, OMP_NUM_THREADS="7", OMP_WAIT_POLICY="active")
    assert done.stdout.splitlines()[-1:] == ["child 7 active"], done.stderr
