"""Builds images from a context, with Docker's buildx or with buildah, whichever is at hand."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.map.context import WHEELS
from core.errors import ConfigInvalid, RetryLater
from core.event_log import EventLog

_log = EventLog()


@dataclass(frozen=True)
class Build:
    """One target of the Dockerfile.

    Attributes
    ----------
    target
        ``map``, ``listener``, ``worker-cpu`` or ``worker-cuda``.
    lists
        The requirement lists that it installs.
    tag
        ``NAME:VERSION``.
    arguments
        Build arguments, such as ``BASE_IMAGE``.
    """

    target: str
    lists: tuple[str, ...]
    tag: str
    arguments: dict[str, str]


def fetch_wheels(context: Path, lists: Sequence[str]) -> None:
    """Fill the wheelhouse of a context, by pip and its configuration; what is there already is kept.

    Raises
    ------
    ConfigInvalid
        If an image with CUDA would get torch for processors, which pip takes where it finds both.
    RetryLater
        If pip cannot get one; its own message comes before.
    """
    wheels = context / WHEELS
    wheels.mkdir(exist_ok=True)
    files = [part for name in (*lists, "build") for part in ("-r", str(context / "requirements" / f"{name}.txt"))]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-deps", "--only-binary", ":all:", "--find-links", str(wheels), "--dest", str(wheels)]
    _run([*pip, *files], "pip could not fetch every wheel")
    if "torch-cuda" in lists and (wrong := next(wheels.glob("torch-*+cpu-*.whl"), None)):
        raise ConfigInvalid(f"{wrong} is torch for processors: remove it, and fetch from an index that has none")


def build_image(context: Path, build: Build, archive: Path) -> None:
    """Build one image and write it to an archive (OCI).

    Raises
    ------
    ConfigInvalid
        If there is no builder.
    RetryLater
        If the build fails; the builder's own message comes before.
    """
    arguments = [part for name, value in sorted(build.arguments.items()) for part in ("--build-arg", f"{name}={value}")]
    common = ["--target", build.target, *arguments, "--tag", build.tag]
    if shutil.which("buildah"):
        # An archive needs no runtime's privileges: each step is a chroot. Docker's format would keep the health check,
        # which OCI's has no word for; Kubernetes and the manifests have probes of their own.
        _run(["buildah", "build", "--isolation", "chroot", "--layers", *common, str(context)], "buildah failed")
        archive.unlink(missing_ok=True)
        _run(["buildah", "push", build.tag, f"oci-archive:{archive}:{build.tag}"], "buildah could not write the image")
    elif shutil.which("docker"):
        output = f"type=oci,dest={archive}"
        _run(["docker", "buildx", "build", *common, "--output", output, str(context)], "docker buildx failed")
    else:
        raise ConfigInvalid("--build needs buildah or docker with buildx; without it, build DIR/context elsewhere")


def _run(command: list[str], problem: str) -> None:
    _log.info("program_started", program=Path(command[0]).name, arguments=len(command) - 1)
    # Their output is for the person who builds; standard output stays free for what this program says.
    done = subprocess.run(command, stdout=sys.stderr, check=False)  # noqa: S603 - arguments are paths and checked names
    if done.returncode != 0:
        raise RetryLater(f"{problem} (exit code {done.returncode}); its message is above")
