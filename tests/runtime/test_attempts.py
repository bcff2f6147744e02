"""Marks of attempts: a death leaves one, an end in good order none."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.attempts import Attempts

Marks = Callable[[], list[Path]]


@pytest.fixture
def marks(tmp_path: Path) -> Marks:
    return lambda: list(tmp_path.glob("work.*"))


def test_every_attempt_that_was_not_left_counts_as_a_death(tmp_path: Path, marks: Marks) -> None:
    died = [Attempts().counted(tmp_path / f"work.{number}", marks) for number in range(3)]
    for number, counted in enumerate(died):
        assert counted.__enter__() == number  # and never left: its process died
    with Attempts().counted(tmp_path / "work.3", marks) as deaths:
        assert deaths == 3
    assert len(marks()) == 3


def test_process_that_ends_in_good_order_takes_its_attempts_back(tmp_path: Path, marks: Marks) -> None:
    attempts = Attempts()
    with attempts.counted(tmp_path / "work.1", marks):
        assert len(marks()) == 1
        attempts.take_back()
        assert marks() == []
    with attempts.counted(tmp_path / "work.2", marks) as deaths:
        assert (deaths, marks()) == (0, [])


def test_mark_that_could_not_be_removed_is_removed_later(
    tmp_path: Path, marks: Marks, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = Attempts()

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        with attempts.counted(tmp_path / "work.1", marks):
            pass
    assert len(marks()) == 1
    with attempts.counted(tmp_path / "work.2", marks) as deaths:
        assert deaths == 0
