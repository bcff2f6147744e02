"""``segnode.v1.Segmentation``."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import aclosing
from typing import Any, Final, NoReturn, TypeAlias
from uuid import UUID

import grpc
from google.protobuf.message import Message
from grpc_status import rpc_status

from core.errors import SegnodeError
from core.event_log import EventLog
from core.raised_at import raised_at
from segnode_client.v1 import segmentation_pb2 as messages
from segnode_client.v1 import segmentation_pb2_grpc as stubs
from services.aliases import Aliases
from services.grpc_api.messages import job_message, models_message, request_of, status_of, task_request
from services.jobs.job import Job, Problem
from services.jobs.job_service import JobService, key_of
from services.offered_models import offered_models

KEY: Final = "idempotency-key"
"""Name of the metadata with the idempotency key."""

_log = EventLog()

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class Servicer(stubs.SegmentationServicer):
    """The translation of messages to requests and of jobs to messages; the job service does the work.

    Parameters
    ----------
    job_service, aliases
        The service and its models, which REST shares.
    retry_after_s
        Seconds that callers are told to wait, if the queue is full.
    """

    def __init__(self, job_service: JobService, aliases: Aliases, retry_after_s: int) -> None:
        self._job_service = job_service
        self._aliases = aliases
        self._retry_after_s = retry_after_s

    async def Totalseg(self, request: messages.TotalsegRequest, context: Context) -> messages.MaskResponse:
        """Segment organs."""
        return await self._mask("totalseg", request, context)

    async def Vessel(self, request: messages.VesselRequest, context: Context) -> messages.MaskResponse:
        """Segment kidney, artery and vein."""
        return await self._mask("vessel", request, context)

    async def Ureter(self, request: messages.UreterRequest, context: Context) -> messages.MaskResponse:
        """Segment ureter and kidney."""
        return await self._mask("ureter", request, context)

    async def Tumor(self, request: messages.TumorRequest, context: Context) -> messages.MaskResponse:
        """Segment kidney and tumour."""
        return await self._mask("tumor", request, context)

    async def SmoothMask(self, request: messages.SmoothMaskRequest, context: Context) -> messages.MaskResponse:
        """Smooth labels of a mask."""
        return await self._mask("smooth", request, context)

    async def PostprocessMask(
        self, request: messages.PostprocessMaskRequest, context: Context
    ) -> messages.MaskResponse:
        """Apply steps of post-processing to a mask."""
        return await self._mask("postprocess", request, context)

    async def Batch(self, request: messages.BatchRequest, context: Context) -> messages.BatchResponse:
        """Run several segmentations on one reading of each image."""
        return messages.BatchResponse(masks=await self._masks("batch", request, context))

    async def Run(self, request: messages.JobRequest, context: Context) -> AsyncIterator[messages.Job]:
        """Run any of the above, with progress."""
        try:
            async with aclosing(self._job_service.run(request_of(request), _key(context))) as jobs:
                async for job in jobs:
                    yield job_message(job)
        except SegnodeError as error:
            await self._abort(Problem.of(error), context)
        except Exception as error:  # noqa: BLE001 - a call's outermost place
            await self._abort(_fault(error), context)

    async def SubmitJob(self, request: messages.JobRequest, context: Context) -> messages.Job:
        """Queue any of the above."""
        return await self._job(self._submitted(request, context), context)

    async def GetJob(self, request: messages.JobReference, context: Context) -> messages.Job:
        """Return a job and its progress."""
        return await self._job(self._job_service.get(request.id), context)

    async def CancelJob(self, request: messages.JobReference, context: Context) -> messages.Job:
        """Cancel a job."""
        return await self._job(self._job_service.cancel(request.id), context)

    async def ListModels(self, request: messages.ListModelsRequest, context: Context) -> messages.ListModelsResponse:
        """List the models."""
        try:
            return models_message(await asyncio.to_thread(offered_models, self._aliases))
        except SegnodeError as error:
            await self._abort(Problem.of(error), context)
        except Exception as error:  # noqa: BLE001 - a call's outermost place
            await self._abort(_fault(error), context)

    async def _submitted(self, request: messages.JobRequest, context: Context) -> Job:
        return await self._job_service.submit(request_of(request), _key(context))

    async def _finished(self, task: str, message: Message, context: Context) -> Job:
        return await self._job_service.result(task_request(task, message), _key(context))

    async def _job(self, work: Awaitable[Job], context: Context) -> messages.Job:
        try:
            return job_message(await work)
        except SegnodeError as error:
            await self._abort(Problem.of(error), context)
        except Exception as error:  # noqa: BLE001 - a call's outermost place
            await self._abort(_fault(error), context)

    async def _masks(self, task: str, message: Message, context: Context) -> Mapping[str, messages.MaskResponse]:
        job = await self._job(self._finished(task, message, context), context)
        if job.state != messages.Job.STATE_DONE:
            problem = Problem(code=job.problem.code, message=job.problem.message, retry=job.problem.retry)
            await self._abort(problem, context)
        return job.masks

    async def _mask(self, task: str, message: Message, context: Context) -> messages.MaskResponse:
        return (await self._masks(task, message, context))[task]

    async def _abort(self, problem: Problem, context: Context) -> NoReturn:
        """End a call with its problem and the details."""
        await context.abort_with_status(rpc_status.to_status(status_of(problem, self._retry_after_s)))
        raise AssertionError("abort does not return")


def _fault(error: Exception) -> Problem:
    """Convert a fault of the program to a problem: gRPC would send its text, which may name a path, to the caller."""
    _log.error("call_failed", error=type(error).__name__, at=raised_at(error.__traceback__))
    return Problem(code="internal_error", message="The service's log has the details.")


def _key(context: Context) -> UUID | None:
    metadata = dict(context.invocation_metadata() or ())
    return key_of(str(metadata.get(KEY, "")))
