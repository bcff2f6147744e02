"""Attempts at work that ended because a process died: they leave a mark.

An attempt makes an empty file before anything is loaded, and takes it away when it is over, however it came out: that
needs no room on a disk that is full. A mark that stays says that a process died over the work. The queue's own count
is of no use for that: it counts how often work was begun, after an ordinary stop too.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LAST_MOMENT_S = 1.0


class Attempts:
    """The attempts of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: set[Path] = set()
        self._over: set[Path] = set()
        self._ended = False

    @contextmanager
    def counted(self, mark: Path, marks: Callable[[], Iterable[Path]]) -> Iterator[int]:
        """Count what happens in the block as a death of this process, unless the block is left.

        The mark survives a power cut once its folder is flushed to the disk.

        Parameters
        ----------
        mark
            This attempt's own mark; its folder exists.
        marks
            Lists the marks of all attempts at the same work.

        Yields
        ------
        int
            How often a process has died over the work before.

        Raises
        ------
        OSError
            If the mark cannot be made, or the marks cannot be listed.
        """
        with self._lock:
            self._sweep()
            if not self._ended:
                mark.touch()
                self._under_way.add(mark)
        try:
            yield sum(1 for other in marks() if other != mark)
        finally:
            with self._lock:
                self._under_way.discard(mark)
                self._over.add(mark)
                self._sweep()

    def take_back(self) -> None:
        """Say that this process ends, and not over what it attempts at present; what it still begins is not counted.

        Returns after a moment, also where the disk does not answer any more.
        """
        taking = threading.Thread(target=self._take_back, name="attempts", daemon=True)
        taking.start()
        taking.join(LAST_MOMENT_S)

    def _take_back(self) -> None:
        with self._lock:
            self._ended = True
            self._over |= self._under_way
            self._sweep()

    def _sweep(self) -> None:
        for mark in tuple(self._over):
            with suppress(OSError):  # a file system that is read-only for now: at the next attempt
                mark.unlink(missing_ok=True)
                self._over.discard(mark)
