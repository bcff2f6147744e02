"""Writes the folder from which a MAP's image is built, the same bytes for the same inputs.

::

    context/
    ├── Dockerfile           docker/Dockerfile, with the Python for which pip fetches wheels here
    ├── app.json, pkg.json   → /etc/holoscan
    ├── app.yaml             → /var/holoscan: the application's configuration, which the SDK wants to find
    ├── app/                 → /opt/holoscan/app: the rooms that run, and the distribution's metadata
    ├── models/NAME/         → /opt/holoscan/models
    ├── converted/           → /opt/holoscan/models/.converted, of an image with OpenVINO alone
    ├── docs/                → /opt/holoscan/docs: licences, SBOM, what the models are for
    ├── requirements/        what is installed, pinned
    └── wheels/              the wheelhouse; fetched where the image is built, and no part of the digest
"""

import hashlib
import json
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import typer
import yaml

from app.map.distributions import licence_files, pinned, read_names, read_pins
from app.map.manifests import Torch, application_manifest, package_manifest
from app.map.sbom import Contents, bill_of_materials
from core.errors import ConfigInvalid
from core.project_files import PROJECT, ROOMS
from core.version import VERSION
from segmentation.package.golden_results import OUTCOMES
from segmentation.package.hashes import SUMS
from segmentation.package.package import MODEL_YAML, Package
from segmentation.package.profile_results import MEASUREMENTS

WHEELS = "wheels"
DEFAULT_EPOCH = 1767225600
"""2026-01-01: every file's time, unless ``SOURCE_DATE_EPOCH`` gives another."""

_ENTRY = '''"""Runs the application: ``python3 /opt/holoscan/app``."""

from app.__main__ import entry

entry()
'''


@dataclass(frozen=True)
class Image:
    """An image to build: its tag, its models and its build of torch.

    Attributes
    ----------
    name, release
        Of the image's tag.
    packages
        The models that go in.
    torch
        Which build of torch.
    """

    name: str
    release: str
    packages: Sequence[Package]
    torch: Torch

    @property
    def requirements(self) -> tuple[str, ...]:
        """The lists of ``docker/requirements`` that the MAP installs."""
        return ("run", f"torch-{self.torch}")


def write_context(image: Image, folder: Path) -> str:
    """Write the context and give its digest; an earlier one in its place is replaced, its wheelhouse kept.

    Raises
    ------
    ConfigInvalid
        If the folder holds something else, or this installation has no files to package with, as inside of an image.
    """
    if not (PROJECT / "docker" / "Dockerfile").is_file():
        raise ConfigInvalid(f"{PROJECT} has no docker/Dockerfile; package from a checkout or a wheel of segnode")
    _make_room(folder)
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or DEFAULT_EPOCH)
    _write_program(folder / "app")
    for package in image.packages:
        _write_model(package, folder / "models" / package.name)
    _write_converted(image, folder / "converted")
    _write_requirements(folder / "requirements")
    _write_docs(image, folder / "docs", epoch)
    _write_manifests(image, folder)
    _write_dockerfile(folder / "Dockerfile")
    _clamp(folder, epoch)
    return digest_of(folder)


def image_rooms() -> tuple[str, ...]:
    """Give the rooms that an image holds, from ``pyproject.toml``."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    return tuple(project["tool"]["segnode"]["image_rooms"])


def digest_of(context: Path) -> str:
    """SHA-256 over path, mode and content of every file but the wheelhouse."""
    total = hashlib.sha256()
    for path in _files(context):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        mode = path.stat().st_mode & 0o777
        total.update(f"{content} {mode:o} {path.relative_to(context).as_posix()}\n".encode())
    return total.hexdigest()


def _files(context: Path) -> Iterator[Path]:
    files = (path for path in context.rglob("*") if path.is_file() and WHEELS not in path.relative_to(context).parts)
    yield from sorted(files, key=lambda path: path.relative_to(context).as_posix())


def _make_room(folder: Path) -> None:
    known = {
        "Dockerfile",
        "app.json",
        "app.yaml",
        "pkg.json",
        "app",
        "models",
        "converted",
        "docs",
        "requirements",
        WHEELS,
    }
    folder.mkdir(parents=True, exist_ok=True)
    found = {path.name for path in folder.iterdir()}
    if found - known:
        raise ConfigInvalid(f"{folder} holds {sorted(found - known)[0]}, which is no part of a context; give another")
    for name in found - {WHEELS}:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _write_program(target: Path) -> None:
    for room in image_rooms():
        for path in sorted((ROOMS / room).rglob("*.py")):
            copy = target / path.relative_to(ROOMS)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    (target / "__main__.py").write_text(_ENTRY, encoding="utf-8")
    # The program asks for its version as that of an installed distribution.
    info = target / f"segnode-{VERSION}.dist-info"
    info.mkdir()
    metadata = (
        distribution("segnode").read_text("METADATA") or f"Metadata-Version: 2.1\nName: segnode\nVersion: {VERSION}"
    )
    head = metadata.split("\n\n")[0].splitlines()
    lines = [line for line in head if line.split(":")[0] in ("Metadata-Version", "Name", "Version", "Summary")]
    (info / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_model(package: Package, target: Path) -> None:
    """Copy what makes a package, and nothing that a person left beside it."""
    for name in (*package.sums, SUMS, MODEL_YAML, OUTCOMES, MEASUREMENTS):
        if (package.folder / name).is_file():
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(package.folder / name, copy)


def _write_converted(image: Image, target: Path) -> None:
    """Write the networks in OpenVINO's form, where it is installed here; a GPU has no use for them."""
    from segmentation.backends.converted import convert_all

    target.mkdir()
    problems = [convert_all(package, target) for package in image.packages if image.torch == "cpu"]
    for problem in filter(None, problems):
        typer.echo(problem, err=True)


def _write_dockerfile(target: Path) -> None:
    """Copy the Dockerfile for the Python that runs here: pip fetches the wheels of that one."""
    text = (PROJECT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    target.write_text(re.sub(r"(?m)^ARG PYTHON=.*$", f"ARG PYTHON={version}", text), encoding="utf-8")


def _write_requirements(target: Path) -> None:
    target.mkdir()
    constraints = PROJECT / "constraints.txt"
    pins = read_pins(constraints)
    for path in sorted((PROJECT / "docker" / "requirements").glob("*.txt")):
        versions = pinned(read_names(path), pins, constraints)
        lines = [f"{name}=={version}\n" for name, version in versions.items()]
        (target / path.name).write_text("".join(lines), encoding="utf-8")


def _write_docs(image: Image, target: Path, epoch: int) -> None:
    target.mkdir()
    constraints = PROJECT / "constraints.txt"
    names = [n for name in image.requirements for n in read_names(PROJECT / "docker" / "requirements" / f"{name}.txt")]
    pins = pinned(sorted(names), read_pins(constraints), constraints)
    shutil.copyfile(PROJECT / "LICENSE", target / "LICENSE")
    for name in pins:
        for file_name, content in licence_files(name):
            path = target / "licences" / name / file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    contents = Contents(image.name, image.release, image.packages, pins)
    (target / "sbom.cdx.json").write_text(bill_of_materials(contents, epoch), encoding="utf-8")
    models = "".join(f"- {one.name} {one.config.version}: {one.config.description}\n" for one in image.packages)
    (target / "README.md").write_text(f"# {image.name} {image.release}\n\n{models}", encoding="utf-8")


def _write_manifests(image: Image, folder: Path) -> None:
    templates = PROJECT / "manifests" / "map"
    contents = {
        "app.json": application_manifest(templates / "app.json", image.release, image.packages),
        "pkg.json": package_manifest(templates / "pkg.json", image.release, image.packages, image.torch),
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    # In the form of the official packager's configuration, which so packages the same.
    config = {
        "application": {
            "title": image.name,
            "version": image.release,
            "input-formats": contents["app.json"]["input"]["formats"],
            "output-formats": [contents["app.json"]["output"]["format"]],
        },
        "resources": contents["pkg.json"]["resources"],
    }
    (folder / "app.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def _clamp(folder: Path, epoch: int) -> None:
    """Give every file and folder one time, and a mode that does not depend on who writes."""
    for path in [folder, *folder.rglob("*")]:
        if WHEELS in path.relative_to(folder).parts:
            continue
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (epoch, epoch))
