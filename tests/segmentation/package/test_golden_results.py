"""Outcomes of golden cases are kept, all of them, and are on the disk before they count."""

import os
from pathlib import Path

import pytest

from core.errors import PackageInvalid
from segmentation.package.golden_results import OUTCOMES, Outcome, read_outcomes, store_outcome


def outcome(when: str) -> Outcome:
    return Outcome(
        when=when,
        seal="0" * 64,
        settings="1" * 64,
        image_sha256=("2" * 64,),
        expect_sha256="3" * 64,
        voxels=8,
        dice={"liver": 1.0},
        agreement=1.0,
        device="cpu",
        passed=True,
    )


def test_outcomes_add_up(tmp_path: Path) -> None:
    assert read_outcomes(tmp_path).cases == ()
    for when in ("first", "second"):
        store_outcome(tmp_path, outcome(when))
    assert [case.when for case in read_outcomes(tmp_path).cases] == ["first", "second"]
    assert [path.name for path in tmp_path.iterdir()] == [OUTCOMES]


def test_content_is_on_the_disk_before_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    fsync, replace = os.fsync, Path.replace

    def note_sync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        synced.append(f"rename to {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_replace)
    store_outcome(tmp_path, outcome("now"))
    assert synced[0].startswith(f".{OUTCOMES}.")
    assert synced[1:] == [f"rename to {OUTCOMES}", tmp_path.name]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / OUTCOMES).write_text('{"cases": [')
    with pytest.raises(PackageInvalid, match=r"commissioning\.json"):
        read_outcomes(tmp_path)
