"""Locks between processes: one holder at a time, also after the lock's file was deleted, and no folder is made."""

import fcntl
import os
import threading
from pathlib import Path

import pytest

from core.file_locks import is_locked, locked, take_lock


def test_waiter_for_the_lock_of_a_deleted_folder_holds_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    waits, holds, may_end = threading.Event(), threading.Event(), threading.Event()

    def wait_for_it() -> None:
        with locked(folder / ".lock", on_wait=waits.set):
            holds.set()
            may_end.wait(30)

    thread = threading.Thread(target=wait_for_it)
    with locked(folder / ".lock"):
        thread.start()
        assert waits.wait(30)
        folder.rename(tmp_path / "trash")
        folder.mkdir()
    try:
        assert holds.wait(30)
        descriptor = os.open(folder / ".lock", os.O_RDWR)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
    finally:
        may_end.set()
        thread.join(30)


def test_a_lock_whose_folder_is_gone_is_held_by_nobody(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), locked(tmp_path / "gone" / ".lock"):
        raise AssertionError("never reached")


def test_lock_is_refused_while_another_holds_it_and_given_after(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    first = take_lock(path)
    assert first is not None
    assert take_lock(path) is None
    assert is_locked(path)
    os.close(first)
    assert not is_locked(path)
    second = take_lock(path)
    assert second is not None
    os.close(second)


def test_lock_whose_file_is_deleted_before_it_is_obtained_is_requested_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, flock, deleted = tmp_path / ".lock", fcntl.flock, list[int]()

    def delete_first(descriptor: int, operation: int) -> None:
        if not deleted:
            deleted.append(descriptor)
            path.unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", delete_first)
    descriptor = take_lock(path)
    assert descriptor is not None
    assert os.path.samestat(os.fstat(descriptor), path.stat())
    os.close(descriptor)


def test_look_at_a_lock_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        is_locked(tmp_path / ".lock")
    assert list(tmp_path.iterdir()) == []
