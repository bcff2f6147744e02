"""Writing files so that after a power cut each is there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and flush it to the disk; its name is durable only after `sync_folder`.

    Raises
    ------
    OSError
        If the file cannot be written whole; the part that was written is removed.
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
    """Flush a file that another writer wrote to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush a folder to the disk, so that the names in it are durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush a folder and all that lies below it to the disk, before it gets the name by which readers find it."""
    for path in folder.rglob("*"):
        (sync_folder if path.is_dir() else sync_file)(path)
    sync_folder(folder)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write or replace a file in one step, without forcing it to disk: readers see the old content or the new.

    Yields
    ------
    Path
        A hidden path in the same folder; the file that the block writes there takes the other's place at its end, and
        is removed if the block raises.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def replace_file(path: Path, data: bytes) -> None:
    """Write or replace a file in one step, also if the power fails: readers see the old content or the new.

    Raises
    ------
    OSError
        If the new content cannot be written; the old one is then untouched.
    """
    with replacing(path) as temporary:
        write_synced(temporary, data)
    sync_folder(path.parent)
