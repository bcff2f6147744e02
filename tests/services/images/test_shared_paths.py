"""Paths of callers: every view of a root, and every way out of it."""

import os
from pathlib import Path, PurePosixPath

import pytest

from core.errors import RequestCode, RequestRefused
from services.images.shared_paths import Root, Roots


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Two roots, and something outside of them."""
    for name in (
        "cases/0001/A.nii.gz",
        "cases/0001/mask/x",
        "cases-secret/B.nii.gz",
        "models/C.nii.gz",
        "out/D.nii.gz",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


@pytest.fixture
def roots(volume: Path) -> Roots:
    return Roots(
        {
            "cases": Root(volume / "cases", (PurePosixPath("/mnt/nas/cases"), PurePosixPath("/data"))),
            "models": Root(volume / "models"),
        }
    )


@pytest.mark.parametrize("view", ["cases:", "/mnt/nas/cases/", "/data/", "{volume}/cases/"])
def test_every_view_means_the_same_file_and_is_answered_in(view: str, volume: Path, roots: Roots) -> None:
    view = view.format(volume=volume)
    found = roots.find(f"{view}0001/A.nii.gz", "image_path")
    assert found.path == volume / "cases/0001/A.nii.gz"
    assert found.name_of(found.path.parent / "mask" / "total_A.nii.gz") == f"{view}0001/mask/total_A.nii.gz"


@pytest.mark.parametrize(
    "path",
    [
        "cases:../out/D.nii.gz",
        "cases:0001/../../out/D.nii.gz",
        "cases:0001/../0001/A.nii.gz",
        "/data/../etc/passwd",
        "cases:/etc/passwd",
        "/etc/passwd",
        "0001/A.nii.gz",
        "unknown:0001/A.nii.gz",
        "{volume}/cases-secret/B.nii.gz",
        "{volume}/out/D.nii.gz",
        "cases:0001/A.nii.gz\0.png",
        "file:///data/0001/A.nii.gz",
    ],
)
def test_a_path_that_leaves_its_root_is_refused(path: str, volume: Path, roots: Roots) -> None:
    with pytest.raises(RequestRefused) as caught:
        roots.find(path.format(volume=volume), "image_path")
    assert caught.value.code is RequestCode.PATH_OUTSIDE_ROOTS
    assert "passwd" not in str(caught.value)


@pytest.mark.parametrize("target", ["out/D.nii.gz", "models/C.nii.gz", "cases-secret/B.nii.gz"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_out_of_its_root_is_refused(target: str, kind: str, volume: Path, roots: Roots) -> None:
    outside = volume / target
    link = volume / "cases" / "0001" / "link"
    link.symlink_to(outside if kind == "file" else outside.parent)
    with pytest.raises(RequestRefused) as caught:
        roots.find("cases:0001/link" + ("" if kind == "file" else f"/{outside.name}"), "image_path")
    assert caught.value.code is RequestCode.PATH_OUTSIDE_ROOTS


def test_a_link_inside_of_its_root_is_followed(volume: Path, roots: Roots) -> None:
    (volume / "cases" / "latest").symlink_to("0001")
    assert roots.find("cases:latest/A.nii.gz", "image_path").path == volume / "cases/0001/A.nii.gz"


@pytest.mark.parametrize("name", ["none", "0001/A.nii.gz/x", "loop", "x" * 300])
def test_missing_path_is_reported(name: str, volume: Path, roots: Roots) -> None:
    (volume / "cases" / "loop").symlink_to("loop")
    with pytest.raises(RequestRefused) as caught:
        roots.find(f"cases:{name}", "image_path")
    assert caught.value.code is RequestCode.NO_SUCH_FILE


@pytest.mark.parametrize("name", ["", ".", "./"])
def test_a_root_itself_is_refused(name: str, roots: Roots) -> None:
    with pytest.raises(RequestRefused) as caught:
        roots.find(f"cases:{name}", "image_path")
    assert caught.value.code is RequestCode.PATH_OUTSIDE_ROOTS


def test_a_pipe_is_not_opened(volume: Path, roots: Roots) -> None:
    os.mkfifo(volume / "cases" / "pipe.nii.gz")
    with pytest.raises(RequestRefused) as caught:
        roots.find("cases:pipe.nii.gz", "image_path")
    assert caught.value.code is RequestCode.UNREADABLE_IMAGE


def test_whether_something_lies_outside_is_not_told(volume: Path, roots: Roots) -> None:
    (volume / "cases" / "up").symlink_to(volume)
    for name in ("out/D.nii.gz", "out/none.nii.gz"):
        with pytest.raises(RequestRefused) as caught:
            roots.find(f"cases:up/{name}", "image_path")
        assert caught.value.code is RequestCode.PATH_OUTSIDE_ROOTS


def test_one_file_has_one_name_in_every_view(volume: Path, roots: Roots) -> None:
    views = ("cases:", "/mnt/nas/cases/", "/data/", f"{volume}/cases/")
    found = [roots.find(f"{view}0001/A.nii.gz", "image_path") for view in views]
    assert {one.common_name_of(one.path) for one in found} == {"cases:0001/A.nii.gz"}
