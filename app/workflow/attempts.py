"""The tries at studies that ended because a process died: they leave a mark.

A try makes an empty file in its revision before anything is loaded, and takes it away when it is over, however it came
out: that needs no room on a disk that is full, and no claim. A mark that stays says that a process died over the study.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dicom_io.spool.claims import Claim

LAST_MOMENT_S = 1.0


class Attempts:
    """The tries of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: set[Path] = set()
        self._over: set[Path] = set()
        self._ended = False

    @contextmanager
    def counted(self, claim: Claim) -> Iterator[int]:
        """Count what happens in the block as a death of this process, unless the block is left.

        The mark survives a power cut once the caller has written the revision's state.

        Parameters
        ----------
        claim
            Whose work is tried.

        Yields
        ------
        int
            How often a process has died over the revision before.

        Raises
        ------
        OSError
            If the spool cannot be written.
        """
        mark = claim.revision.mark_of_try(claim.number)
        with self._lock:
            self._sweep()
            if not self._ended:
                mark.touch()
                self._under_way.add(mark)
        try:
            yield sum(1 for other in claim.revision.marks_of_tries() if other != mark)
        finally:
            with self._lock:
                self._under_way.discard(mark)
                self._over.add(mark)
                self._sweep()

    def take_back(self) -> None:
        """Say that this process ends, and not over what it tries at present; what it still begins is not counted.

        Returns after a moment, also where the spool does not answer any more.
        """
        taking = threading.Thread(target=self._take_back, name="tries", daemon=True)
        taking.start()
        taking.join(LAST_MOMENT_S)

    def _take_back(self) -> None:
        with self._lock:
            self._ended = True
            self._over |= self._under_way
            self._sweep()

    def _sweep(self) -> None:
        for mark in tuple(self._over):
            with suppress(OSError):  # a file system that is read-only for now: at the next try
                mark.unlink(missing_ok=True)
                self._over.discard(mark)
