"""Waits between attempts that double up to a longest one."""

from dataclasses import dataclass

_DOUBLINGS = 60
"""More would overflow, and no first wait is that much shorter than the longest."""


@dataclass(frozen=True)
class Backoff:
    """A schedule of waits, in seconds."""

    first_s: float
    longest_s: float

    def wait_s(self, attempt: int) -> float:
        """Return the wait after an attempt, counted from 0; it is never shorter than the first."""
        return float(min(self.first_s * 2.0 ** min(attempt, _DOUBLINGS), max(self.first_s, self.longest_s)))
