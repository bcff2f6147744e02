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

from core.errors import ConfigInvalid
from segmentation.manifest import Configuration
from segmentation.package import Package

Torch = Literal["cpu", "cuda"]

SEMANTIC_VERSION = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
)
TAG_NAME = re.compile(r"[a-z0-9]+([._/:-]+[a-z0-9]+)*")
_GIB = 2**30
_FIELD_MM = (600.0, 500.0, 500.0)
_FIELD_VOXELS = 600 * 512 * 512
"""The study that the memory in ``pkg.json`` is for: 600 slices of 512 x 512, 600 mm x 500 mm x 500 mm."""

_PROGRAM_BYTES = 2 * _GIB
_COPIES_OF_THE_IMAGE = 4
_BYTES_A_LOGIT = 2
_ACTIVATIONS_A_VOXEL = 400
"""Float32 values for each voxel of a patch: a dozen layers of 32 features at full resolution. An estimate, on the safe
side, since inference frees each layer when the next is done."""


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
    """The content of ``app.json``.

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
        for channel in package.manifest.channels
    ]
    content["output"]["format"]["models"] = [
        {
            "name": package.name,
            "version": package.manifest.version,
            "file": f"<StudyInstanceUID>/{package.name}.seg.dcm",
            "segments": [label.name for label in package.manifest.labels],
        }
        for package in packages
    ]
    return content


def package_manifest(template: Path, release: str, packages: Sequence[Package], torch: Torch) -> dict[str, Any]:
    """The content of ``pkg.json``.

    Parameters
    ----------
    torch
        For which device the image's torch is built; ``cuda`` asks for one GPU.
    """
    content = _read(template)
    content["version"] = release
    content["models"] = [{"name": package.name, "path": package.name} for package in packages]
    resources = content["resources"]
    resources["memory"] = _gibibytes(max(_memory(package) for package in packages))
    if torch == "cuda":
        resources["gpu"] = 1
        resources["gpuMemory"] = _gibibytes(max(_gpu_memory(package) for package in packages))
    return content


def _read(template: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(template.read_text(encoding="utf-8"))
    return content


def _gibibytes(size: float) -> str:
    return f"{math.ceil(size / _GIB)}Gi"


def _memory(package: Package) -> float:
    """Bytes for the image, and the logits at the network's spacing."""
    image = _COPIES_OF_THE_IMAGE * 4 * _FIELD_VOXELS * len(package.network.channels)
    return _PROGRAM_BYTES + image + max(_logit_bytes(part) for part in package.network.configurations)


def _gpu_memory(package: Package) -> float:
    patch = max(math.prod(part.patch_size) for part in package.network.configurations)
    logits = max(_logit_bytes(part) for part in package.network.configurations)
    return _GIB + 4 * _ACTIVATIONS_A_VOXEL * patch + logits


def _logit_bytes(part: Configuration) -> float:
    # A 2d network keeps the slices that the image has.
    spacing = part.spacing if len(part.spacing) == 3 else (_FIELD_MM[0] / 600, *part.spacing)
    voxels = math.prod(extent / step for extent, step in zip(_FIELD_MM, sorted(spacing, reverse=True), strict=True))
    return _BYTES_A_LOGIT * part.network.outputs * voxels
