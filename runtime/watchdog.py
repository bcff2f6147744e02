"""Time limits of work, kept outside of the working process, so that even one in which no Python runs is ended.

A worker prints what it works at and its time limit on its standard output; the watching process keeps the time.
"""

import subprocess
import threading
import time
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


class Clock:
    """The time limit of one piece of work, as its worker tells it to the watching process.

    Parameters
    ----------
    line
        Connection to the supervisor.
    key, number
        Identity of the work; the key is one word.
    limit_s
        Time limit in seconds.
    """

    def __init__(self, line: Line, key: str, number: int, limit_s: float) -> None:
        self._line = line
        self._work = f"{key} {number}".encode()
        self._left_s = limit_s
        self._since = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the time pass in the block."""
        self._start()
        try:
            yield
        finally:
            self._stop()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let no time pass in a block of the running one, in which the work waits for other work."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    def _start(self) -> None:
        self._since = time.monotonic()
        self._line.say(b"%s %s %.3f\n" % (_BUSY, self._work, self._left_s))

    def _stop(self) -> None:
        self._left_s = max(0.0, self._left_s - (time.monotonic() - self._since))
        self._line.say(b"%s %s\n" % (_DONE, self._work))


@contextmanager
def timed(line: Line, key: str, number: int, limit_s: float) -> Iterator[Clock]:
    """Put a time limit on the block; parameters as `Clock` takes them."""
    clock = Clock(line, key, number, limit_s)
    with clock.running():
        yield clock


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

    @property
    def under_way(self) -> list[tuple[str, int]]:
        """Return key and number of the work whose time runs, or ran when the process ended."""
        with self._lock:
            return list(self._timers)

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
