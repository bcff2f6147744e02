"""Files that are there whole, or not at all, after a power cut."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and flush it to the disk; its name is durable only after `sync_folder`.

    Raises
    ------
    OSError
        If the file cannot be written whole; what was written of it is removed.
    """
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def sync_file(path: Path) -> None:
    """Flush to the disk what another writer put into a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes) -> None:
    """Write or replace a file in one step: readers see the old content or the new, never a part.

    Raises
    ------
    OSError
        If the new content cannot be written; the old one is then untouched.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.part")
    write_synced(temporary, data)
    temporary.replace(path)
    sync_folder(path.parent)


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a lock between processes for the duration of the block; the kernel frees it if the holder dies.

    Whoever waited for the lock of a folder that was deleted meanwhile holds nothing, and asks again.

    Parameters
    ----------
    path
        The lock file; it is created where missing, and stays.
    on_wait
        Called if somebody else holds the lock, before waiting for it.

    Raises
    ------
    OSError
        If the file cannot be created, as where its folder is gone.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if on_wait is not None:
                    on_wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(path, descriptor):
                yield
                return
        finally:
            os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all, also after a loss of power."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    names = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(names)  # a renamed file is only there for good with its folder
    finally:
        os.close(names)
