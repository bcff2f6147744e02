"""Checkpoints that are written aside, kept two deep, and chosen among when some cannot be read."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.trained_folders import RUN, Bomb
from training.runs.checkpoints import BEST, FINAL, LATEST, PREVIOUS, candidates, choose, forget_latest, write_checkpoint


def content(epoch: int) -> dict[str, Any]:
    """A checkpoint with what nnU-Net's have."""
    return {
        "network_weights": {"weight": torch.ones(3)},
        "current_epoch": epoch,
        "init_args": {"configuration": "3d_fullres", "fold": 0},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }


def save(folder: Path, name: str, epoch: int, seconds: int = 0) -> Path:
    """Write one whose time of change is known."""
    path = folder / name
    write_checkpoint(path, lambda aside: torch.save(content(epoch), aside))
    os.utime(path, (1_000_000 + seconds, 1_000_000 + seconds))
    return path


def epoch_of(path: Path | None) -> int:
    assert path is not None
    epoch: int = torch.load(path, weights_only=True)["current_epoch"]
    return epoch


def test_the_latest_is_kept_two_deep(tmp_path: Path) -> None:
    for epoch in (1, 2, 3):
        save(tmp_path, LATEST, epoch)
    assert epoch_of(tmp_path / LATEST) == 3
    assert epoch_of(tmp_path / PREVIOUS) == 2
    assert {path.name for path in tmp_path.iterdir()} == {LATEST, PREVIOUS}


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    save(tmp_path, LATEST, 1)

    def fails(aside: Path) -> None:
        aside.write_bytes(b"half of a checkpoi")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_checkpoint(tmp_path / LATEST, fails)
    assert epoch_of(tmp_path / LATEST) == 1
    assert [path.name for path in tmp_path.iterdir()] == [LATEST]


def test_the_newest_is_chosen_and_the_final_one_before_all(tmp_path: Path) -> None:
    save(tmp_path, PREVIOUS, 1, seconds=1)
    save(tmp_path, LATEST, 2, seconds=2)
    save(tmp_path, BEST, 3, seconds=3)
    assert [path.name for path in candidates(tmp_path)] == [BEST, LATEST, PREVIOUS]
    save(tmp_path, FINAL, 4, seconds=0)
    assert epoch_of(choose(tmp_path, print)) == 4


@pytest.mark.parametrize("damage", ["cut", "empty", "words", "pickle"])
def test_a_broken_one_is_named_and_the_older_one_taken(tmp_path: Path, damage: str) -> None:
    save(tmp_path, PREVIOUS, 1, seconds=1)
    latest = save(tmp_path, LATEST, 2, seconds=2)
    if damage == "pickle":
        torch.save(content(2) | {"optimizer_state": Bomb(tmp_path / RUN)}, latest)
    else:
        latest.write_bytes({"cut": latest.read_bytes()[:-200], "empty": b"", "words": b"no checkpoint"}[damage])
    said: list[str] = []
    assert epoch_of(choose(tmp_path, said.append)) == 1
    assert said[0].startswith(f"{LATEST} cannot be read, so an older checkpoint is taken: ")
    assert not (tmp_path / RUN).exists()


def test_the_final_one_makes_the_latest_superfluous(tmp_path: Path) -> None:
    for name in (PREVIOUS, LATEST, BEST, FINAL):
        save(tmp_path, name, 1)
    forget_latest(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {BEST, FINAL}
    forget_latest(tmp_path)
