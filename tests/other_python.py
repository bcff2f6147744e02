"""The wheel and the tests of tier ``unit`` under Debian 13's Python: ``make test-python``, as root, with mmdebstrap.

Not part of the suite: it fetches some 3 GB of wheels. The tests run in a folder that holds no source of the program, so
that they import the installed one; those that read sources and pages are left to the checkout.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from core.project_files import PROJECT

PYTHON = "3.13"
SUITE = "trixie"
SOURCES_ONLY = ("acvl_utils",)
"""Distributions that are published without a wheel; theirs is pure Python."""
READ_THE_CHECKOUT = (
    *("docs", "test_house.py", "test_named_things.py", "app/map/test_kubernetes.py"),
    *("dicom_io/spool/test_record_access.py", "bench"),
)
"""Tests that look at sources, pages and manifests of the checkout, or at the measurements, which no wheel holds."""

INSTALL = (
    "python{python} -m venv /venv && /venv/bin/pip install --quiet --no-compile --no-index --find-links /wheels {what}"
)
RUN = "cd /checkout && OMP_NUM_THREADS=1 /venv/bin/python -m pytest --numprocesses=2 --dist=loadfile -m unit {ignored}"


def run(*command: str | Path, **settings: str) -> None:
    subprocess.run([str(part) for part in command], check=True, cwd=PROJECT, env={**os.environ, **settings})  # noqa: S603 - our own tools


def inside(root: Path, script: str) -> None:
    """Run a script in the root, with the devices of this machine, by mounts that end with it."""
    mounts = " && ".join(f"mount --rbind /{name} {root}/{name}" for name in ("dev", "proc"))
    clean = f"env --ignore-environment HOME=/root LANG=C.UTF-8 PATH=/usr/bin:/bin /bin/sh -c '{script}'"
    run("unshare", "--mount", "/bin/sh", "-c", f"{mounts} && exec chroot {root} {clean}")


def fetch_wheels(folder: Path) -> None:
    """Fetch what the wheel and the tests of it need, for the other Python, by pip and its configuration."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    names = [*project["dependencies"], *extras["service"], *extras["training"], *extras["dev"]]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    pins = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    run(*pip, "wheel", "--no-deps", "--wheel-dir", folder, *(pin for pin in pins if pin.startswith(SOURCES_ONLY)))
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, PROJECT)
    run(
        *(*pip, "download", "--dest", folder, "--find-links", folder, "--constraint", PROJECT / "constraints.txt"),
        *("--python-version", PYTHON, "--only-binary", ":all:"),
        *(name for name in names if not name.startswith("segnode")),
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give Debian's root with the wheel and all that its tests need installed."""
    if os.geteuid() != 0:
        pytest.skip("a root of Debian's is entered by root alone")
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap is not installed")
    folder = tmp_path_factory.mktemp("other") / "root"
    run("mmdebstrap", "--quiet", "--variant=minbase", f"--include=python{PYTHON}-venv", SUITE, folder)
    wheels = folder / "wheels"
    wheels.mkdir()
    fetch_wheels(wheels)
    wheel = next(wheels.glob("segnode-*.whl")).name
    inside(folder, INSTALL.format(python=PYTHON, what=f'"/wheels/{wheel}[dev]"'))
    shutil.rmtree(wheels)
    checkout = folder / "checkout"
    checkout.mkdir()
    for name in ("tests", "models", "manifests"):
        shutil.copytree(PROJECT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(PROJECT / "pyproject.toml", checkout / "pyproject.toml")
    return folder


def test_installed_program_answers(root: Path) -> None:
    inside(root, "cd /tmp && /venv/bin/segnode --version && /venv/bin/segnode models list")


@pytest.mark.timeout(1200)
def test_unit_tests_pass(root: Path) -> None:
    inside(root, RUN.format(ignored=" ".join(f"--ignore=tests/{name}" for name in READ_THE_CHECKOUT)))
