"""Jobs that somebody follows: one question to the queue for all, and for each follower the latest answer alone."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from core.errors import RequestCode, RequestRefused, RetryLater
from services.jobs.job import Job

POLL_S: Final = 0.05
"""Between two looks at all jobs that somebody follows."""
AWAY_S: Final = 1.0
"""The same while the queue's database does not answer."""
BEAT_S: Final = 15.0
"""A follower hears at least this often, if only the same again: balancers end what is silent."""


@dataclass(eq=False)
class Follower:
    """One who follows a job.

    Attributes
    ----------
    job
        Which.
    holder
        The call that ends the job when its caller is gone; None for who only looks on.
    latest
        The last that was seen of the job; a follower that is slow misses what was in between.
    is_gone
        Whether the queue knows the job no more.
    changed
        Set whenever there is something new.
    """

    job: str
    holder: str | None = None
    latest: Job | None = None
    is_gone: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Following:
    """Who follows which job.

    Parameters
    ----------
    read
        Asks the queue for jobs by ID; called in a thread.
    """

    def __init__(self, read: Callable[[Collection[str]], Mapping[str, Job]]) -> None:
        self._read = read
        self._followers: list[Follower] = []
        self._looking: asyncio.Task[None] | None = None
        self._is_stopped = False

    def of(self, job: str) -> list[Follower]:
        """Who follows a job here, the latest last."""
        return [follower for follower in self._followers if follower.job == job]

    async def follow(self, follower: Follower, timeout_s: float) -> AsyncGenerator[Job, None]:
        """Tell how far a job is, at each change and at every `BEAT_S`, until it is at its end.

        A queue that does not answer is waited for.

        Parameters
        ----------
        follower
            Who, and which job.
        timeout_s
            How long at most.

        Raises
        ------
        RequestRefused
            ``unknown_job`` once there is no such job (any more), ``deadline_exceeded``.
        RetryLater
            When this instance stops: another one, or the same after its start, tells more.
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
        """Send all followers away."""
        self._is_stopped = True
        self._wake()

    async def _wait(self, follower: Follower, ends_at: float, timeout_s: float) -> None:
        """Wait for news of a job, or for the next beat."""
        left = ends_at - asyncio.get_running_loop().time()
        if not self._is_stopped:
            try:
                async with asyncio.timeout(min(BEAT_S, left)):
                    await follower.changed.wait()
            except TimeoutError as error:
                if left > BEAT_S:
                    return
                raise RequestRefused(RequestCode.DEADLINE_EXCEEDED, f"It gave {timeout_s:g} s.") from error
        follower.changed.clear()
        if follower.latest is not None and follower.latest.is_at_its_end:
            return
        if self._is_stopped:
            raise RetryLater("This instance of the service stops; the job goes on.")
        if follower.is_gone:
            raise RequestRefused(RequestCode.UNKNOWN_JOB, "It was deleted.")
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
