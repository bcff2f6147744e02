"""Readiness of the service: the queue's database answers, and a worker lives, of this instance or another."""

import asyncio
import time
from typing import Final, Literal

from sqlalchemy.exc import SQLAlchemyError

from runtime.lease_table import LeaseTable
from services.jobs.job_queue import VERSION

FRESH_S: Final = 1.0
"""Seconds for which an answer is reused: probes come from everywhere, without a token."""

State = Literal["ready", "stopping", "database_unreachable", "no_worker"]


class Readiness:
    """The answer to probes.

    Parameters
    ----------
    leases
        The live workers by the database; a worker that died stays there until its lease expires.
    """

    def __init__(self, leases: LeaseTable) -> None:
        self._leases = leases
        self._door = asyncio.Lock()
        self._asked_at = -FRESH_S
        self._state: State = "no_worker"
        self._stopping = asyncio.Event()

    async def ask(self) -> State:
        """Return ``ready``, or the reason why calls are not worked on."""
        async with self._door:
            if not self._stopping.is_set() and time.monotonic() - self._asked_at >= FRESH_S:
                self._state = await asyncio.to_thread(self._look)
                self._asked_at = time.monotonic()
        return "stopping" if self._stopping.is_set() else self._state

    async def wait(self, seconds: float) -> None:
        """Wait for a time, or until the service stops."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    @property
    def is_stopping(self) -> bool:
        """Tell whether the service is stopping."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Answer from now on that no work is accepted."""
        self._stopping.set()

    def _look(self) -> State:
        try:
            executors = self._leases.executors()
        except SQLAlchemyError:
            return "database_unreachable"
        return "ready" if any(one.is_live and one.version == VERSION for one in executors) else "no_worker"
