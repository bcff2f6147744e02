"""Time limits of work, kept outside of the working process, so that even one in which no Python runs is ended.

A worker prints what it works at and its time limit on its standard output; the watching process keeps the time.
"""

import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from core.event_log import EventLog

_BUSY, _DONE = b"busy", b"done"

_log: Final = EventLog()


class Line(Protocol):
    """The worker's line to its supervisor: `runtime.child.ParentLink`."""

    def say(self, what: bytes) -> None:
        """Write one line."""
        ...


@contextmanager
def timed(line: Line, key: str, number: int, limit_s: float) -> Iterator[None]:
    """Put a time limit on the block.

    Parameters
    ----------
    line
        Connection to the supervisor.
    key, number
        Identity of the work; the key is one word.
    limit_s
        Time limit in seconds.
    """
    work = f"{key} {number}".encode()
    line.say(b"%s %s %.3f\n" % (_BUSY, work, limit_s))
    try:
        yield
    finally:
        line.say(b"%s %s\n" % (_DONE, work))


class Watchdog:
    """A watchdog that ends one worker when its work takes too long.

    Parameters
    ----------
    process
        The worker.
    names
        Names of key and number in the log; the number may have none.
    after_end
        Called with key and number once the process has ended for it, and every lock that it held is free.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], names: Sequence[str], after_end: Callable[[str, int], None]
    ) -> None:
        self._process = process
        self._names = names
        self._after_end = after_end
        self._timers: dict[tuple[str, int], threading.Timer] = {}
        self._stopped = False
        self._lock = threading.Lock()

    def hear(self, line: bytes) -> None:
        """Read a line of the worker; lines that are not about time limits are ignored."""
        what, *rest = line.split() or [b""]
        if what not in (_BUSY, _DONE):
            return
        key, number, *limit_s = rest
        work = key.decode(), int(number)
        with self._lock:
            if (timer := self._timers.pop(work, None)) is not None:
                timer.cancel()
            if what == _BUSY and not self._stopped:
                timer = threading.Timer(float(limit_s[0]), self._end, work)
                timer.daemon = True
                self._timers[work] = timer
                timer.start()

    def stop(self) -> None:
        """Stop the clock, since the worker has ended."""
        with self._lock:
            self._stopped = True
            for timer in self._timers.values():
                timer.cancel()

    def _end(self, key: str, number: int) -> None:
        work = dict(zip(self._names, (key, number), strict=False))
        _log.error(f"{self._names[0]}_timed_out", **work, pid=self._process.pid)
        self._process.kill()
        self._process.wait()
        self._after_end(key, number)
