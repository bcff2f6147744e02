"""Files of a shared volume, opened once: the file that was checked is the file that is read, whatever its name becomes.

Any user who can write to the volume can put a link in a file's place between a check and its use. So a path is opened
without any effect on its file (``O_PATH``), the kernel then tells where that lies, and it is read by descriptor alone.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from core.errors import RequestCode, RequestRefused

Stamp = tuple[int, int, int]
"""Size, and the times of the last change of content and inode, which every change leaves behind."""
SMALL_FILE: Final = 1 << 20
"""Largest size in bytes of a text file of this program or of a converter."""


class OpenFile:
    """A file or folder, by its descriptor.

    Parameters
    ----------
    descriptor
        As ``O_PATH`` gives it; closed by :meth:`close`.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @property
    def path(self) -> Path:
        """Return a path in this process that leads to it, and to nothing else."""
        return Path(f"/proc/self/fd/{self.descriptor}")

    @property
    def is_file(self) -> bool:
        """Tell whether it is a regular file: neither a folder nor a pipe."""
        return stat.S_ISREG(os.fstat(self.descriptor).st_mode)

    @property
    def is_folder(self) -> bool:
        """Tell whether it is a folder."""
        return stat.S_ISDIR(os.fstat(self.descriptor).st_mode)

    @property
    def is_link(self) -> bool:
        """Tell whether it is a link itself, as ``O_NOFOLLOW`` opens it."""
        return stat.S_ISLNK(os.fstat(self.descriptor).st_mode)

    @property
    def size(self) -> int:
        """Return its size in bytes."""
        return os.fstat(self.descriptor).st_size

    @property
    def stamp(self) -> Stamp:
        """Return a stamp that differs after any change of its content."""
        status = os.fstat(self.descriptor)
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def open(self) -> BufferedReader:
        """Open its content, from the beginning."""
        return self.path.open("rb")

    def sha256(self) -> str:
        """Return the SHA-256 of its content."""
        with self.open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @contextmanager
    def named(self, name: str) -> Iterator[Path]:
        """Give a path of this name that leads to it, for readers that go by a file's extension."""
        with TemporaryDirectory(prefix="segnode-") as folder:
            link = Path(folder, name)
            link.symlink_to(self.path)
            yield link

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.descriptor)


@contextmanager
def opened(path: str | Path, root: Path, *, flags: int = 0, dir_fd: int | None = None) -> Iterator[OpenFile]:
    """Open a file or folder for the duration of the block; see :func:`open_inside`."""
    file = open_inside(path, root, flags=flags, dir_fd=dir_fd)
    try:
        yield file
    finally:
        file.close()


def open_inside(path: str | Path, root: Path, *, flags: int = 0, dir_fd: int | None = None) -> OpenFile:
    """Open a path's file or folder, through any links, if it lies below a root.

    Parameters
    ----------
    path
        Absolute, or a name in the folder ``dir_fd``.
    root
        Resolved.
    flags
        More of ``open(2)``, such as ``O_NOFOLLOW``.

    Raises
    ------
    RequestRefused
        ``path_outside_roots`` if it lies elsewhere.
    OSError
        If it does not exist, or may not be opened.
    """
    file = OpenFile(os.open(path, os.O_PATH | os.O_CLOEXEC | flags, dir_fd=dir_fd))
    if not file.path.readlink().is_relative_to(root):
        file.close()
        raise RequestRefused(RequestCode.PATH_OUTSIDE_ROOTS, "A link leaves its root.")
    return file


def read_small(path: str | Path, root: Path, *, flags: int = 0, dir_fd: int | None = None) -> bytes:
    """Return the content of a small regular file below a root.

    Raises
    ------
    OSError
        If it does not exist.
    ValueError
        If it is a folder or a pipe, too large, or a link that leaves the root.
    """
    try:
        with opened(path, root, flags=flags, dir_fd=dir_fd) as file:
            if not file.is_file or file.size > SMALL_FILE:
                raise ValueError("not a regular file, or too large")
            with file.open() as content:
                return content.read(SMALL_FILE)
    except RequestRefused as error:
        raise ValueError("it lies outside of its root") from error
