"""Callers who wait for a job over HTTP: with one answer at its end, or with events (SSE) on the way."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Any, Final

from fastapi import Request

from core.errors import SegnodeError
from services.jobs.job import Job, Problem
from services.rest.problems import Failed

IS_STILL_THERE_S: Final = 0.5
"""Seconds between two checks whether a caller is still connected."""


async def unless_gone(request: Request, waiting: Coroutine[Any, Any, Job]) -> Job:
    """Wait for a job and return it done; the wait ends when its caller disconnects.

    Raises
    ------
    Failed
        If the job has no result.
    """
    work = asyncio.ensure_future(waiting)
    try:
        while not (await asyncio.wait([work], timeout=IS_STILL_THERE_S))[0]:
            if await request.is_disconnected():
                raise Failed(Problem(code="cancelled", message="The caller has disconnected."))
        job = work.result()
    finally:
        work.cancel()
    if job.problem is not None:
        raise Failed(job.problem)
    return job


async def events(changes: AsyncGenerator[Job, None]) -> AsyncIterator[str]:
    """Yield a job at each change as a server-sent event; comments in between keep the connection alive.

    If an error ends the events before the job's end, it is the last event, ``problem``.
    """
    told: Job | None = None
    try:
        async with aclosing(changes) as jobs:
            async for job in jobs:
                yield f"event: {job.state}\ndata: {job.model_dump_json()}\n\n" if job != told else ": no change\n\n"
                told = job
    except SegnodeError as error:
        yield f"event: problem\ndata: {Problem.of(error).model_dump_json()}\n\n"
