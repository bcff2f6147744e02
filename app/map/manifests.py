"""The two manifests of a MONAI Application Package, from the templates in ``manifests/map/``.

The specification asks for a semantic version, formats of input and output, resources and models; all of these are what
the model packages say. See ``docs/monai-deploy.md`` for where the official packager writes something else.
"""

import json
import math
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.errors import ConfigInvalid
from core.volume import Geometry
from segmentation.inference.memory_estimate import BASE, of_study, predict
from segmentation.package.package import Package

Torch = Literal["cpu", "cuda"]

SEMANTIC_VERSION = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
)
TAG_NAME = re.compile(r"[a-z0-9]+([._/:-]+[a-z0-9]+)*")
_GIB = 2**30
_STUDY = Geometry((600, 512, 512), (1.0, 500 / 512, 500 / 512), (0.0, 0.0, 0.0), np.eye(3))
"""The study that the memory in ``pkg.json`` is for: 600 slices of 512 x 512, 600 mm x 500 mm x 500 mm."""


def parse_tag(tag: str) -> tuple[str, str]:
    """Name and version of ``NAME:VERSION``.

    Raises
    ------
    ConfigInvalid
        If the name is none of an image, or the version is not semantic (``1.2.3``), which the specification asks for.
    """
    name, _, release = tag.rpartition(":")
    if not TAG_NAME.fullmatch(name):
        raise ConfigInvalid(f"--tag {tag}: give NAME:VERSION, the name in lower case, such as hospital/liver:1.0.0")
    if not SEMANTIC_VERSION.fullmatch(release):
        raise ConfigInvalid(f"--tag {tag}: {release or 'nothing'} is not a semantic version, such as 1.0.0")
    return name, release


def application_manifest(template: Path, release: str, packages: Sequence[Package]) -> dict[str, Any]:
    """Build the content of ``app.json``.

    Parameters
    ----------
    template
        ``manifests/map/app.json``.
    release
        The semantic version of the application.
    packages
        The models that it runs.
    """
    content = _read(template)
    content["version"] = release
    content["sdkVersion"] = version("monai-deploy-app-sdk")
    content["input"]["formats"] = [
        {
            "name": f"{package.name}: {channel.name}",
            "data": "DICOM images of one series",
            "format": "file",
            "mediaTypes": ["application/dicom"],
            "modalities": list(channel.series.modality),
        }
        for package in packages
        for channel in package.config.channels
    ]
    content["output"]["format"]["models"] = [
        {
            "name": package.name,
            "version": package.config.version,
            "file": f"<StudyInstanceUID>/{package.name}.seg.dcm",
            "segments": [label.name for label in package.config.labels],
        }
        for package in packages
    ]
    return content


def package_manifest(template: Path, release: str, packages: Sequence[Package], torch: Torch) -> dict[str, Any]:
    """Build the content of ``pkg.json``.

    Parameters
    ----------
    torch
        For which device the image's torch is built; ``cuda`` asks for one GPU.
    """
    content = _read(template)
    content["version"] = release
    content["models"] = [{"name": package.name, "path": package.name} for package in packages]
    resources = content["resources"]
    need = of_study({"image": [predict(package, _STUDY, torch) for package in packages]})
    weights = sum(package.weight_bytes for package in packages)
    resources["memory"] = _gibibytes(BASE + weights + need.total)
    if torch == "cuda":
        resources["gpu"] = 1
        resources["gpuMemory"] = _gibibytes(_GIB + weights + need.gpu)
    return content


def _read(template: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(template.read_text(encoding="utf-8"))
    return content


def _gibibytes(size: float) -> str:
    return f"{math.ceil(size / _GIB)}Gi"
