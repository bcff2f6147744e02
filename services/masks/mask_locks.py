"""Locks on masks: a job that needs a mask another job is computing waits and reuses it.

A lock is a file below the work folder that all instances share, named after the mask's name for every instance; it
exists as long as a job holds it.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from core.cancellation import NEVER, Cancellation
from core.errors import RetryLater
from core.file_locks import take_lock

LOOK_EVERY_S: Final = 0.1
"""Seconds between two attempts at a lock that another job holds."""


class Locks:
    """Locks on names between the workers of all instances.

    Parameters
    ----------
    folder
        Folder of their files; it is made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def held(
        self, names: Iterable[str], cancellation: Cancellation = NEVER, on_wait: Callable[[], None] = lambda: None
    ) -> Iterator[None]:
        """Hold the locks of some names for the duration of the block.

        Parameters
        ----------
        names
            Every job takes them in the same order, so that no two wait for each other.
        cancellation
            Asked while another job holds one.
        on_wait
            Called repeatedly while another job holds one.

        Raises
        ------
        Cancelled
            If the job is cancelled while it waits.
        RetryLater
            If the disk cannot be written.
        """
        with ExitStack() as taken:
            for path in sorted({self._folder / hashlib.sha256(name.encode()).hexdigest()[:40] for name in names}):
                taken.enter_context(_held(path, cancellation, on_wait))
            yield

    def tidy(self) -> None:
        """Remove the files of workers that were killed while they held a lock."""
        for path in self._folder.iterdir():
            with suppress(OSError):
                if (descriptor := take_lock(path)) is not None:
                    _give_back(path, descriptor)


@contextmanager
def _held(path: Path, cancellation: Cancellation, on_wait: Callable[[], None]) -> Iterator[None]:
    try:
        while (descriptor := take_lock(path)) is None:
            cancellation.raise_if_cancelled()
            on_wait()
            time.sleep(LOOK_EVERY_S)
    except OSError as error:
        raise RetryLater(f"the service's work folder cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        _give_back(path, descriptor)


def _give_back(path: Path, descriptor: int) -> None:
    # First its name: whoever opens it from here on opens a new file.
    with suppress(OSError):
        path.unlink()
    os.close(descriptor)
