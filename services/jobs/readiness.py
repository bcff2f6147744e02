"""Whether a call would be worked on: the queue's database answers, and a worker lives, of this instance or another."""

import asyncio
import time
from typing import Final, Literal

from sqlalchemy.exc import SQLAlchemyError

from runtime.lease_table import Leases
from services.jobs.job_queue import VERSION

FRESH_S: Final = 1.0
"""An answer is given again for so long: probes come from everywhere, without a token."""

State = Literal["ready", "stopping", "database_unreachable", "no_worker"]


class Readiness:
    """What probes are told.

    Parameters
    ----------
    leases
        Who works, as the database knows it; a worker that died is in it until its lease has run out.
    """

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._door = asyncio.Lock()
        self._asked_at = -FRESH_S
        self._state: State = "no_worker"
        self._stopping = asyncio.Event()

    async def ask(self) -> State:
        """Whether calls are worked on, or why not."""
        async with self._door:
            if not self._stopping.is_set() and time.monotonic() - self._asked_at >= FRESH_S:
                self._state = await asyncio.to_thread(self._look)
                self._asked_at = time.monotonic()
        return "stopping" if self._stopping.is_set() else self._state

    async def wait(self, seconds: float) -> None:
        """Wait, but no longer than until the service stops."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    @property
    def is_stopping(self) -> bool:
        """Whether the service stops."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Say from now on that no work is taken."""
        self._stopping.set()

    def _look(self) -> State:
        try:
            executors = self._leases.executors()
        except SQLAlchemyError:
            return "database_unreachable"
        return "ready" if any(one.is_live and one.version == VERSION for one in executors) else "no_worker"
