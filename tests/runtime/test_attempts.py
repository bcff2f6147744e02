"""Marks of attempts: a death leaves one, an end in good order none."""

import errno
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from runtime.attempts import Attempt, Attempts

Marks = Callable[[], list[Path]]


@pytest.fixture
def marks(tmp_path: Path) -> Marks:
    return lambda: list(tmp_path.glob("work.*"))


def test_every_attempt_that_was_not_left_counts_as_a_death(tmp_path: Path, marks: Marks) -> None:
    died = [Attempts().counted(tmp_path / f"work.{number}", marks) for number in range(3)]
    for number, counted in enumerate(died):
        assert counted.__enter__().deaths == number  # and never left: its process died
    with Attempts().counted(tmp_path / "work.3", marks) as attempt:
        assert attempt.deaths == 3
    assert len(marks()) == 3


def test_process_that_ends_in_good_order_takes_its_attempts_back(tmp_path: Path, marks: Marks) -> None:
    attempts = Attempts()
    with attempts.counted(tmp_path / "work.1", marks):
        assert len(marks()) == 1
        attempts.take_back()
        assert marks() == []
    with attempts.counted(tmp_path / "work.2", marks) as attempt:
        assert (attempt.deaths, marks()) == (0, [])


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
    with attempts.counted(tmp_path / "work.2", marks) as attempt:
        assert attempt.deaths == 0


class Two:
    """Two attempts of one process, and where their marks lie."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.attempts, self.stack = folder, Attempts(), ExitStack()

    def begin(self, name: str) -> Attempt:
        marks = lambda: self.folder.glob(f"{name}.*")  # noqa: E731
        return self.stack.enter_context(
            self.attempts.counted(self.folder / f"{name}.1", marks, self.folder / f"{name}-spared.1")
        )

    @property
    def marks(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


def test_of_two_attempts_the_one_whose_network_runs_is_to_blame_and_else_none(tmp_path: Path) -> None:
    two = Two(tmp_path)
    read = two.begin("read")
    assert two.marks == ["read.1"], "it is alone"
    with two.stack:
        network = two.begin("network")
        assert two.marks == ["network-spared.1", "read-spared.1"]
        with two.attempts.blamed(network):
            assert two.marks == ["network.1", "read-spared.1"]
        with two.attempts.blamed(read):
            assert two.marks == ["network-spared.1", "read.1"]
        assert two.marks == ["network-spared.1", "read-spared.1"]
    assert two.marks == []


def test_an_attempt_that_the_other_leaves_alone_is_to_blame(tmp_path: Path) -> None:
    two = Two(tmp_path)
    two.begin("first")
    with two.attempts.counted(tmp_path / "second.1", list, tmp_path / "second-spared.1"):
        assert two.marks == ["first-spared.1", "second-spared.1"]
    assert two.marks == ["first.1"]
    two.attempts.take_back()
    assert two.marks == []


def test_a_mark_that_cannot_be_renamed_keeps_the_network_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A death that nobody counted could repeat for ever."""
    two = Two(tmp_path)
    first, _ = two.begin("first"), two.begin("second")

    def refuse(path: Path, target: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        with pytest.raises(OSError, match="Read-only"), two.attempts.blamed(first):
            pytest.fail("the network ran")
    with two.attempts.blamed(first):
        assert two.marks == ["first.1", "second-spared.1"]
