"""Files that are replaced in one step: a reader sees the old content or the new, and a failure leaves the old alone."""

import os
from pathlib import Path

import pytest

from core.files import replace_file, replacing


def test_replacing_shows_the_new_content_at_the_end_of_the_block(tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    path.write_text("old")
    before = path.stat().st_ino
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
    assert path.read_text() == "new"
    assert path.stat().st_ino != before
    assert [one.name for one in tmp_path.iterdir()] == ["counts.json"]


def test_block_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    path.write_text("old")

    def fail_halfway() -> None:
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        fail_halfway()
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["counts.json"]


def test_only_replace_file_forces_the_content_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        flushed.append(os.path.realpath(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    path = tmp_path / "state.json"
    with replacing(path) as temporary:
        temporary.write_text("cheap")
    assert flushed == []
    replace_file(path, b"durable")
    content, folder = flushed
    assert Path(content).name.startswith(".state.json.")
    assert folder == os.path.realpath(tmp_path)
