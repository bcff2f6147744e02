"""What the service does with a call, behind gRPC and REST alike: queue it, wait for it, end it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from services.jobs import Job, Jobs
from services.requests import AnyRequest

POLL_S: Final = 0.05
"""Between two looks at all jobs that somebody waits for."""


class Handlers:
    """The service, as its two servers see it.

    Parameters
    ----------
    jobs
        The queue.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._waiting: dict[str, asyncio.Queue[Job]] = {}
        self._looking: asyncio.Task[None] | None = None
        # One after the other, so that a crowd does not pass a queue that has one place left.
        self._door = asyncio.Lock()

    async def submit(self, request: AnyRequest) -> Job:
        """Queue a request.

        Raises
        ------
        RequestRefused
            ``queue_full``.
        """
        async with self._door:
            job = await asyncio.to_thread(self._jobs.submit, request)
        return Job(id=job, state="queued", progress=0.0)

    async def get(self, job: str) -> Job:
        """How far a job is.

        Raises
        ------
        RequestRefused
            ``unknown_job``.
        """
        return await asyncio.to_thread(self._jobs.get, job)

    async def cancel(self, job: str) -> Job:
        """End a job.

        Raises
        ------
        RequestRefused
            ``unknown_job``.
        """
        return await asyncio.to_thread(self._jobs.cancel, job)

    async def run(self, request: AnyRequest) -> AsyncIterator[Job]:
        """Queue a request, and tell how far it is until it is at its end.

        Whoever stops listening before ends the job: nobody else knows of it.

        Raises
        ------
        RequestRefused
            ``queue_full``.
        """
        job = await self.submit(request)
        try:
            yield job
            async for change in self.follow(job.id):
                job = change
                yield job
        finally:
            if not job.is_at_its_end:
                # A caller that is gone takes this task with it, so that another one has to bring it to its end.
                ending = asyncio.ensure_future(self.cancel(job.id))
                with suppress(asyncio.CancelledError):
                    await asyncio.shield(ending)

    async def follow(self, job: str) -> AsyncIterator[Job]:
        """Tell how far a job is, at each change, until it is at its end."""
        changes: asyncio.Queue[Job] = asyncio.Queue()
        name = f"{job} {id(changes)}"
        self._waiting[name] = changes
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            latest: Job | None = None
            while latest is None or not latest.is_at_its_end:
                now = await changes.get()
                if now != latest:
                    latest = now
                    yield now
        finally:
            del self._waiting[name]

    async def result(self, request: AnyRequest) -> Job:
        """Queue a request, and wait for its end."""
        return [job async for job in self.run(request)][-1]

    async def _look(self) -> None:
        """One question to the database for all who wait."""
        while self._waiting:
            known = await asyncio.to_thread(self._jobs.read, {name.split()[0] for name in self._waiting})
            for name, changes in self._waiting.items():
                if (job := known.get(name.split()[0])) is not None:
                    changes.put_nowait(job)
            await asyncio.sleep(POLL_S)
