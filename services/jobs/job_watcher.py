"""Followed jobs: one query of the queue for all of them, and for each follower only the latest state."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from core.errors import RequestCode, RequestRefused, RetryLater
from services.jobs.job import Job

POLL_S: Final = 0.05
"""Seconds between two queries of all followed jobs."""
AWAY_S: Final = 1.0
"""Seconds between two queries while the queue's database does not answer."""
BEAT_S: Final = 15.0
"""Seconds after which a follower gets an unchanged state again: load balancers close silent connections."""


@dataclass(eq=False)
class Follower:
    """One call that follows a job.

    Attributes
    ----------
    job
        Its ID.
    holder
        The call that ends the job when its caller is gone; None for a follower that only watches.
    latest
        The latest state of the job; a slow follower misses states in between.
    is_gone
        Whether the queue no longer has the job.
    changed
        Set whenever there is something new.
    """

    job: str
    holder: str | None = None
    latest: Job | None = None
    is_gone: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class JobWatcher:
    """The followers of all jobs.

    Parameters
    ----------
    read
        Reads jobs by ID from the queue; called in a thread.
    """

    def __init__(self, read: Callable[[Collection[str]], Mapping[str, Job]]) -> None:
        self._read = read
        self._followers: list[Follower] = []
        self._looking: asyncio.Task[None] | None = None
        self._is_stopped = False

    def of(self, job: str) -> list[Follower]:
        """Return the followers of a job, the latest last."""
        return [follower for follower in self._followers if follower.job == job]

    async def follow(self, follower: Follower, timeout_s: float) -> AsyncGenerator[Job, None]:
        """Yield a job at each change and at every `BEAT_S`, until its end.

        A queue that does not answer is waited for.

        Parameters
        ----------
        follower
            The follower, with its job.
        timeout_s
            Longest time to follow.

        Raises
        ------
        RequestRefused
            ``unknown_job`` if there is no such job (any more), ``deadline_exceeded``.
        RetryLater
            When this instance stops; another one, or the same after its restart, goes on.
        """
        ends_at = asyncio.get_running_loop().time() + timeout_s
        self._followers.append(follower)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
            self._looking.add_done_callback(self._wake)
        try:
            told: Job | None = None
            while told is None or not told.is_at_its_end:
                await self._wait(follower, ends_at, timeout_s)
                if follower.latest is not None:
                    told = follower.latest
                    yield told
        finally:
            self._followers.remove(follower)

    def stop(self) -> None:
        """End all followers."""
        self._is_stopped = True
        self._wake()

    async def _wait(self, follower: Follower, ends_at: float, timeout_s: float) -> None:
        """Wait for a change of a job, or for the next beat."""
        left = ends_at - asyncio.get_running_loop().time()
        if not self._is_stopped:
            try:
                async with asyncio.timeout(min(BEAT_S, left)):
                    await follower.changed.wait()
            except TimeoutError as error:
                if left > BEAT_S:
                    return
                raise RequestRefused(RequestCode.DEADLINE_EXCEEDED, f"The timeout was {timeout_s:g} s.") from error
        follower.changed.clear()
        if follower.latest is not None and follower.latest.is_at_its_end:
            return
        if self._is_stopped:
            raise RetryLater("This instance of the service is stopping; the job goes on.")
        if follower.is_gone:
            raise RequestRefused(RequestCode.UNKNOWN_JOB, "The job was deleted.")
        if self._looking is not None and self._looking.done():
            self._looking.result()  # a fault of this program: nobody waits for ever for its sake

    async def _look(self) -> None:
        while self._followers:
            followers = tuple(self._followers)
            try:
                known = await asyncio.to_thread(self._read, {follower.job for follower in followers})
            except RetryLater:
                await asyncio.sleep(AWAY_S)
                continue
            for follower in followers:
                job = known.get(follower.job)
                if job is None or job != follower.latest:
                    follower.latest, follower.is_gone = job, job is None
                    follower.changed.set()
            await asyncio.sleep(POLL_S)

    def _wake(self, _: object = None) -> None:
        for follower in self._followers:
            follower.changed.set()
