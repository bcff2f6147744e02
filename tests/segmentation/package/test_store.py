"""A package that is added is on the disk whole before its name appears."""

import os
from pathlib import Path

import pytest

from segmentation.importing.add import add_package
from segmentation.package.hashes import SUMS
from tests.support.tiny_models import make_results_folder

Seen = tuple[int, int, int]


def seen(path: Path) -> Seen:
    """Return inode, size and time of the last change of content: a later write shows in one of them."""
    state = path.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns


def test_package_is_flushed_before_it_is_named_and_its_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "models"
    flushed: list[Seen] = []
    at_rename: list[tuple[int, set[Seen]]] = []
    fsync, rename = os.fsync, Path.rename

    def note_flush(descriptor: int) -> None:
        fsync(descriptor)
        flushed.append(seen(Path(f"/proc/self/fd/{descriptor}")))

    def note_rename(source: Path, target: Path) -> Path:
        if target == models / "tiny":
            at_rename.append((len(flushed), {seen(path) for path in (source, *source.rglob("*"))}))
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(Path, "rename", note_rename)
    package = add_package(make_results_folder(tmp_path, "3d_fullres"), "tiny", models)

    ((before, needed),) = at_rename
    assert len(needed) > 8
    assert seen(package.folder / SUMS) in needed
    assert needed <= set(flushed[:before])
    assert seen(models)[0] in {inode for inode, _, _ in flushed[before:]}
