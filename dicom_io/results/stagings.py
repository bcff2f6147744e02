"""The hidden folders in which a process stages results, so that whoever ends it can remove them."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

PREFIX = ".partial-"
LAST_MOMENT_S = 5.0
"""As long waits the end for a folder that is being renamed into its place."""
TRIES = 100
"""A file may come while its folder is emptied; a folder that cannot be removed is left after this number of tries."""


class Stagings:
    """The staging folders of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folders: set[Path] = set()

    def make(self, parent: Path) -> Path:
        """Make a new one.

        Raises
        ------
        OSError
            If it cannot be made.
        """
        with self._lock:
            folder = parent / f"{PREFIX}{uuid4().hex}"
            folder.mkdir()
            self._folders.add(folder)
            return folder

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Keep the end of the process out of the block."""
        with self._lock:
            yield

    def discard(self, folder: Path) -> None:
        """Remove one; harmless where it is gone."""
        shutil.rmtree(folder, ignore_errors=True)
        self._folders.discard(folder)

    def end(self) -> None:
        """Remove all, and let no other thread make or publish one: for the last moment of a process."""
        # The lock is never freed: an error that the removal causes in another thread may not become a report.
        self._lock.acquire(timeout=LAST_MOMENT_S)
        for folder in tuple(self._folders):
            for _ in range(TRIES):
                shutil.rmtree(folder, ignore_errors=True)
                if not folder.exists():
                    break
