"""The handling of a call, behind gRPC and REST alike: queue it, wait for it, cancel it."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any, Final
from uuid import UUID, uuid4

from core.errors import RequestCode, RequestRefused, RetryLater, SegnodeError
from core.event_log import EventLog
from services.jobs.job import Job
from services.jobs.job_queue import Jobs
from services.jobs.job_watcher import Follower, JobWatcher
from services.jobs.requests import AnyRequest

LONGEST_S: Final = 24 * 3600.0
"""The longest wait of a call, whatever timeout its caller gives; a job may take longer."""

_log = EventLog()


class JobService:
    """The service, as its two servers see it.

    A call that waits holds its job: when its caller hangs up or its timeout ends, the job is cancelled, unless another
    call holds or follows it. When the service stops, jobs stay on the queue.

    Parameters
    ----------
    jobs
        The queue.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._following = JobWatcher(jobs.read)
        # One after the other: a crowd does not pass a queue that has one place left, and whoever leaves a job ends none
        # that another call has found at this instant.
        self._door = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    async def submit(self, request: AnyRequest, key: UUID | None = None) -> Job:
        """Queue a request, or find the job of the same key; it goes on when its caller hangs up.

        Raises
        ------
        RequestRefused
            ``queue_full``; ``invalid_request`` where the key has come with another request before.
        RetryLater
            While the queue cannot be reached; so for all methods.
        """
        return await self._submit(request, key, None)

    async def get(self, job: str) -> Job:
        """Return a job and its progress.

        Raises
        ------
        RequestRefused
            ``unknown_job``.
        """
        return await asyncio.to_thread(self._jobs.get, job)

    async def cancel(self, job: str) -> Job:
        """Cancel a job.

        Raises
        ------
        RequestRefused
            ``unknown_job``.
        """
        return await asyncio.to_thread(self._jobs.cancel, job)

    async def run(
        self, request: AnyRequest, key: UUID | None = None, timeout_s: float = LONGEST_S
    ) -> AsyncGenerator[Job, None]:
        """Queue a request, and yield its job at each change until its end.

        Raises
        ------
        RequestRefused
            As `submit`; ``deadline_exceeded``.
        """
        may_repeat = True
        while may_repeat:
            may_repeat = False
            async with aclosing(self._run(request, key, timeout_s)) as changes:
                async for job in changes:
                    if job.state == "cancelled" and may_repeat:
                        # Another instance may have ended it for a caller who is gone, when this one had just come:
                        # then the key begins anew. If it was ended on purpose, the same is told again.
                        break
                    may_repeat = key is not None and not job.is_at_its_end
                    yield job

    async def _run(self, request: AnyRequest, key: UUID | None, timeout_s: float) -> AsyncGenerator[Job, None]:
        # The call that waits is known before its job, and the job's queueing goes on without its caller: at every
        # instant somebody knows what has to be ended.
        holder = uuid4().hex
        submitting = asyncio.ensure_future(self._submit(request, key, holder))
        is_at_its_end = False
        try:
            job = await asyncio.shield(submitting)
            is_at_its_end = job.is_at_its_end
            yield job
            if not is_at_its_end:
                async with aclosing(self._following.follow(Follower(job.id, holder), timeout_s)) as changes:
                    async for change in changes:
                        is_at_its_end = change.is_at_its_end
                        yield change
        finally:
            if not is_at_its_end and not self._is_stopped:
                self._later(self._leave(submitting, holder))

    async def follow(self, job: str, timeout_s: float = LONGEST_S) -> AsyncGenerator[Job, None]:
        """Yield a job at each change until its end.

        Raises
        ------
        RequestRefused
            ``unknown_job``, ``deadline_exceeded``.
        """
        async with aclosing(self._following.follow(Follower(job), timeout_s)) as changes:
            async for change in changes:
                yield change

    async def keep(self, job: str) -> Job:
        """Let a job go on although the call that waits for it hangs up, since another call follows it.

        Raises
        ------
        RequestRefused
            ``unknown_job``.
        """
        async with self._door:
            found = await self.get(job)
            if not found.is_at_its_end:
                await asyncio.to_thread(self._jobs.hold, job, None)
        return found

    async def result(self, request: AnyRequest, key: UUID | None = None, timeout_s: float = LONGEST_S) -> Job:
        """Queue a request, and wait for the end of its job; errors are those of `run`."""
        async with aclosing(self.run(request, key, timeout_s)) as changes:
            async for job in changes:
                last = job
        return last

    async def stop(self) -> None:
        """End all waiting calls; their jobs stay on the queue."""
        self._is_stopped = True
        self._following.stop()
        await asyncio.gather(*self._leaving)

    async def _submit(self, request: AnyRequest, key: UUID | None, holder: str | None) -> Job:
        async with self._door:
            return await asyncio.to_thread(self._jobs.submit, request, key, holder)

    async def _leave(self, submitting: asyncio.Task[Job], holder: str) -> None:
        """Cancel the job of a call whose caller is gone, or give it to another call that follows it."""
        try:
            job = await submitting
        except SegnodeError:
            return  # there is none
        try:
            async with self._door:
                heirs = [other.holder for other in self._following.of(job.id)]
                await asyncio.to_thread(self._jobs.leave, job.id, holder, heirs)
        except RetryLater as error:
            _log.warning("job_not_cancelled", job=job.id, reason=str(error))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        # A caller that is gone takes its task with it.
        task = asyncio.ensure_future(work)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


def key_of(text: str | None) -> UUID | None:
    """Parse an idempotency key from a header.

    Raises
    ------
    RequestRefused
        ``invalid_request``.
    """
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise RequestRefused(RequestCode.INVALID_REQUEST, "The idempotency key must be a UUID.") from error
