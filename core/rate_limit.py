"""Repeated events, of which a log shows one in a while: a flood of requests must not become a flood of log lines."""

import threading
import time
from collections.abc import Callable, Hashable
from math import inf

_MAX_KEYS = 1000
"""Kinds of events that are remembered; a peer may invent more."""


class RateLimit:
    """A count of like events that tells when one is due to be logged: the first, then one a period.

    Parameters
    ----------
    period_s
        Shortest time between two of a kind, in seconds.
    clock
        Gives the time in seconds.
    """

    def __init__(self, period_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._period_s = period_s
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[Hashable, tuple[float, int]] = {}

    def due(self, kind: Hashable = None) -> int | None:
        """Count an event; return the number of those of its kind left out before if it is due, else None."""
        now = self._clock()
        with self._lock:
            last, left_out = self._seen.get(kind, (-inf, 0))
            if now - last < self._period_s:
                self._seen[kind] = last, left_out + 1
                return None
            if len(self._seen) >= _MAX_KEYS:
                self._seen.clear()
            self._seen[kind] = now, 0
            return left_out

    def clear(self) -> None:
        """Forget all events, since what they were about is over; the next one is due at once."""
        with self._lock:
            self._seen.clear()
