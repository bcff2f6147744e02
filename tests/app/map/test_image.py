"""The builder that is asked, and its arguments; the builders themselves are tried by ``make image-test``."""

from pathlib import Path

import pytest

from app.map.image import Build, build_image
from core.errors import ConfigInvalid, RetryLater

pytestmark = pytest.mark.peers  # programs of their own are started in the place of builders

BUILD = Build("map", ("run",), "demo:1.0.0", {"TORCH": "cpu", "BASE_IMAGE": "base"})
WANTED = "--target map --build-arg BASE_IMAGE=base --build-arg TORCH=cpu --tag demo:1.0.0"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are looked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put(folder: Path, name: str, code: int = 0) -> None:
    """A program that writes down what it was asked for."""
    (folder / name).write_text(f'#!/bin/sh\necho "$0 $*" >> "{folder}/asked"\nexit {code}\n')
    (folder / name).chmod(0o755)


def asked(folder: Path) -> list[str]:
    return [line.removeprefix(f"{folder}/") for line in (folder / "asked").read_text().splitlines()]


def test_buildah_builds_and_then_writes_the_archive(programs: Path, tmp_path: Path) -> None:
    put(programs, "buildah")
    put(programs, "docker")
    archive = tmp_path / "image.tar"
    archive.write_text("of an earlier build")
    build_image(tmp_path, BUILD, archive)
    assert asked(programs) == [
        f"buildah build --isolation chroot --layers {WANTED} {tmp_path}",
        f"buildah push demo:1.0.0 oci-archive:{archive}:demo:1.0.0",
    ]
    assert not archive.exists()  # else buildah would refuse to write


def test_docker_builds_where_there_is_no_buildah(programs: Path, tmp_path: Path) -> None:
    put(programs, "docker")
    build_image(tmp_path, BUILD, tmp_path / "image.tar")
    assert asked(programs) == [f"docker buildx build {WANTED} --output type=oci,dest={tmp_path}/image.tar {tmp_path}"]


def test_failing_or_missing_builder_is_reported(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="needs buildah or docker with buildx"):
        build_image(tmp_path, BUILD, tmp_path / "image.tar")
    put(programs, "docker", code=3)
    with pytest.raises(RetryLater, match=r"docker buildx failed \(exit code 3\)"):
        build_image(tmp_path, BUILD, tmp_path / "image.tar")
