"""An object while it comes in: a file under a name that nobody looks at, and nothing of it in memory."""

import os
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path

CHECK_EVERY_BYTES = 1 << 24


class IncomingFile:
    """A new file, which is gone when it is closed, unless it was moved to its place.

    Parameters
    ----------
    path
        Its name for now.
    check_room
        Raises `OSError` where there is no room for more.

    Raises
    ------
    OSError
        If there is no room, or it cannot be created.
    """

    def __init__(self, path: Path, check_room: Callable[[], None]) -> None:
        check_room()
        self.path = path
        self.size = 0
        self._check_room = check_room
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def write(self, piece: bytes | memoryview) -> None:
        """Append to it.

        Raises
        ------
        OSError
            If there is no room, or it cannot be written whole.
        """
        if self.size // CHECK_EVERY_BYTES != (self.size + len(piece)) // CHECK_EVERY_BYTES:
            self._check_room()
        left = memoryview(piece)
        while left:
            left = left[os.write(self._descriptor, left) :]
        self.size += len(piece)

    def reader(self, start: int = 0) -> FileIO:
        """Its content from ``start`` on, for a while; also after it was moved, or removed."""
        file = FileIO(self._descriptor, closefd=False)
        file.seek(start)
        return file

    def sync(self) -> None:
        """Flush it to the disk; its name is durable only when it is moved and its folder flushed.

        Raises
        ------
        OSError
            If it cannot be flushed, or took what has to stay free.
        """
        self._check_room()
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close it, and remove it unless it was moved.

        A file that a broken disk does not let go of lies where nobody looks, until `Spool.prepare` removes it.
        """
        with suppress(OSError):
            os.close(self._descriptor)
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
