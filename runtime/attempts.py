"""Attempts at work that ended because a process died: they leave a mark.

An attempt makes an empty file before anything is loaded, and takes it away when it is over, however it came out: that
needs no room on a disk that is full. A mark that stays says that a process died over the work. The queue's own count
is of no use for that: it counts how often work was begun, after an ordinary stop too.

Where one process has several attempts under way, at most one of them is to blame for its death: the one whose network
runs, or else the only one. The marks of the others lie under another name meanwhile, and are not counted. Work of
which any mark stays is attempted alone from then on (`app.workflow.study_places`), so that it is spared at most once,
and none costs more processes than are counted, and one.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

LAST_MOMENT_S = 1.0


@dataclass(eq=False)
class Attempt:
    """One attempt under way.

    Attributes
    ----------
    mark
        Where its mark lies while it is to blame.
    spared
        Where its mark lies while it is not; None for work that is always to blame.
    deaths
        How often a process has died over the work before.
    """

    mark: Path
    spared: Path | None = None
    deaths: int = 0


class Attempts:
    """The attempts of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: list[Attempt] = []
        self._blamed: Attempt | None = None
        self._over: set[Path] = set()
        self._ended = False

    @contextmanager
    def counted(self, mark: Path, marks: Callable[[], Iterable[Path]], spared: Path | None = None) -> Iterator[Attempt]:
        """Count what happens in the block as a death of this process, unless the block is left.

        The mark survives a power cut once its folder is flushed to the disk.

        Parameters
        ----------
        mark
            This attempt's own mark; its folder exists.
        marks
            Lists the marks of all attempts at the same work.
        spared
            Where the mark lies instead while another attempt of this process is to blame, or none of several.

        Yields
        ------
        Attempt
            It tells how often a process has died over the work before.

        Raises
        ------
        OSError
            If the mark cannot be made or renamed, or the marks cannot be listed.
        """
        attempt = Attempt(mark, spared)
        with self._lock:
            self._sweep()
            self._begin(attempt)
        try:
            attempt.deaths = sum(1 for other in marks() if other != mark)
            yield attempt
        finally:
            with self._lock:
                if attempt in self._under_way:
                    self._under_way.remove(attempt)
                self._over |= _places(attempt)
                self._sweep()
                with suppress(OSError):  # one death more would be spared
                    self._settle()

    @contextmanager
    def blamed(self, attempt: Attempt) -> Iterator[None]:
        """Blame one attempt alone for a death in the block; there is one such block at a time.

        Raises
        ------
        OSError
            If its mark cannot be renamed.
        """
        with self._lock:
            self._blamed = attempt
            self._settle()
        try:
            yield
        finally:
            with self._lock, suppress(OSError):  # one death more would be counted
                self._blamed = None
                self._settle()

    def take_back(self) -> None:
        """Say that this process ends, and not over what it attempts at present; what it still begins is not counted.

        Returns after a moment, also where the disk does not answer any more.
        """
        taking = threading.Thread(target=self._take_back, name="attempts", daemon=True)
        taking.start()
        taking.join(LAST_MOMENT_S)

    def _begin(self, attempt: Attempt) -> None:
        if self._ended:
            return
        alone = not self._under_way
        self._under_way.append(attempt)
        try:
            (attempt.mark if alone or attempt.spared is None else attempt.spared).touch()
            self._settle()
        except OSError:
            self._under_way.remove(attempt)
            self._over |= _places(attempt)
            raise

    def _settle(self) -> None:
        """Rename the marks that are not where they should be; those of the spared first."""
        if self._ended:
            return
        for attempt in sorted(self._under_way, key=self._is_to_blame):
            if attempt.spared is not None:
                place, other = attempt.mark, attempt.spared
                if not self._is_to_blame(attempt):
                    place, other = other, place
                with suppress(FileNotFoundError):  # where it lies already, or a person has had the work begun again
                    other.rename(place)

    def _is_to_blame(self, attempt: Attempt) -> bool:
        return attempt is self._blamed or self._under_way == [attempt]

    def _take_back(self) -> None:
        with self._lock:
            self._ended = True
            self._over |= {place for attempt in self._under_way for place in _places(attempt)}
            self._sweep()

    def _sweep(self) -> None:
        for mark in tuple(self._over):
            with suppress(OSError):  # a file system that is read-only for now: at the next attempt
                mark.unlink(missing_ok=True)
                self._over.discard(mark)


def _places(attempt: Attempt) -> set[Path]:
    return {attempt.mark} | ({attempt.spared} if attempt.spared is not None else set())
