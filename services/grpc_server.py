"""gRPC: ``segnode.v1.Segmentation``, health and reflection."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from core.errors import SegnodeError
from segnode_client.v1 import segmentation_pb2 as messages
from segnode_client.v1 import segmentation_pb2_grpc as stubs
from services.handlers import Handlers
from services.jobs import Job, Problem
from services.problems import grpc_code
from services.requests import AnyRequest, parse_request
from services.settings import Listening
from services.tokens import Tokens

NAME = messages.DESCRIPTOR.services_by_name["Segmentation"].full_name
MESSAGE_BYTES = 1 << 20
"""Requests are paths."""

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
_PREFIXES = ("OUTPUT_", "REGISTRATION_", "SMOOTH_METHOD_")


class Servicer(stubs.SegmentationServicer):
    """Turns messages into requests and jobs into messages; what happens is the handlers' business.

    Parameters
    ----------
    handlers
        What REST has behind it, too.
    retry_after_s
        What callers are told where the queue is full.
    """

    def __init__(self, handlers: Handlers, retry_after_s: int) -> None:
        self._handlers = handlers
        self._retry_after_s = retry_after_s

    async def Totalseg(self, request: messages.TotalsegRequest, context: Context) -> messages.MaskResponse:
        """Organs."""
        return await self._mask("totalseg", request, context)

    async def Vessel(self, request: messages.VesselRequest, context: Context) -> messages.MaskResponse:
        """Kidney, artery and vein."""
        return await self._mask("vessel", request, context)

    async def Ureter(self, request: messages.UreterRequest, context: Context) -> messages.MaskResponse:
        """Ureter and kidney."""
        return await self._mask("ureter", request, context)

    async def Tumor(self, request: messages.TumorRequest, context: Context) -> messages.MaskResponse:
        """Kidney and tumour."""
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
        """Several segmentations on one reading of each image."""
        return messages.BatchResponse(masks=await self._masks("batch", request, context))

    async def Run(self, request: messages.JobRequest, context: Context) -> AsyncIterator[messages.Job]:
        """Any of the above, with progress."""
        try:
            async for job in self._handlers.run(_request_of(request)):
                yield _job_message(job)
        except SegnodeError as error:
            await self._abort(Problem.of(error), context)

    async def SubmitJob(self, request: messages.JobRequest, context: Context) -> messages.Job:
        """Queue any of the above."""
        return await self._job(self._submitted(request), context)

    async def GetJob(self, request: messages.JobReference, context: Context) -> messages.Job:
        """How far a job is."""
        return await self._job(self._handlers.get(request.id), context)

    async def CancelJob(self, request: messages.JobReference, context: Context) -> messages.Job:
        """End a job."""
        return await self._job(self._handlers.cancel(request.id), context)

    async def _submitted(self, request: messages.JobRequest) -> Job:
        return await self._handlers.submit(_request_of(request))

    async def _finished(self, task: str, message: Message) -> Job:
        return await self._handlers.result(_parsed(task, message))

    async def _job(self, work: Awaitable[Job], context: Context) -> messages.Job:
        try:
            return _job_message(await work)
        except SegnodeError as error:
            await self._abort(Problem.of(error), context)

    async def _masks(self, task: str, message: Message, context: Context) -> Mapping[str, messages.MaskResponse]:
        job = await self._job(self._finished(task, message), context)
        if job.state != messages.Job.STATE_DONE:
            problem = Problem(code=job.problem.code, message=job.problem.message, retry=job.problem.retry)
            await self._abort(problem, context)
        return job.masks

    async def _mask(self, task: str, message: Message, context: Context) -> messages.MaskResponse:
        return (await self._masks(task, message, context))[task]

    async def _abort(self, problem: Problem, context: Context) -> NoReturn:
        """End a call with what is known of its problem."""
        details: list[Message] = [
            ErrorInfo(reason=problem.code, domain="segnode", metadata={"retry": str(problem.retry).lower()})
        ]
        if problem.retry:
            details.append(RetryInfo(retry_delay=Duration(seconds=self._retry_after_s)))
        status = Status(code=grpc_code(problem).value[0], message=problem.message)
        for detail in details:
            status.details.add().Pack(detail)
        await context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError("abort does not return")


class _OnlyKnownCallers(grpc.aio.ServerInterceptor):
    """Lets in who shows a token; health checks come without."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

        async def refuse(request: object, context: Context) -> None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "show a token: authorization: Bearer ...")

        self._refusal: Any = grpc.unary_unary_rpc_method_handler(refuse)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Let a call through, or answer it here."""
        metadata = dict(handler_call_details.invocation_metadata)
        is_health = handler_call_details.method.startswith(f"/{health.SERVICE_NAME}/")
        if is_health or self._tokens.admit(str(metadata.get("authorization", ""))):
            return await continuation(handler_call_details)
        return self._refusal


def make_grpc_server(handlers: Handlers, listening: Listening, tokens: Tokens, retry_after_s: int) -> grpc.aio.Server:
    """A server that listens once it is started.

    Parameters
    ----------
    handlers, tokens
        What it does, and for whom.
    listening
        Where.
    retry_after_s
        What callers are told where the queue is full.
    """
    options = [
        ("grpc.max_receive_message_length", MESSAGE_BYTES),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
    server = grpc.aio.server(interceptors=[_OnlyKnownCallers(tokens)], options=options)
    add_servicer: Any = stubs.add_SegmentationServicer_to_server  # generated without types
    add_servicer(Servicer(handlers, retry_after_s), server)
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    reflection.enable_server_reflection((NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    address = f"{listening.host}:{listening.port}"
    if listening.tls is None:
        server.add_insecure_port(address)
    else:
        tls = listening.tls
        credentials = grpc.ssl_server_credentials(
            [(tls.key.read_bytes(), tls.certificate.read_bytes())],
            root_certificates=tls.ca.read_bytes() if tls.ca else None,
            require_client_auth=tls.ca is not None,
        )
        server.add_secure_port(address, credentials)
    return server


def _request_of(message: messages.JobRequest) -> AnyRequest:
    kind = message.WhichOneof("request")
    return _parsed(kind or "", getattr(message, kind) if kind else message)


def _parsed(task: str, message: Message) -> AnyRequest:
    content = MessageToDict(message, preserving_proto_field_name=True)
    return parse_request({**_plain(content), "task": task})


def _plain(value: Any) -> Any:
    """Enumerations as REST names them: ``REGISTRATION_RIGID`` is ``rigid``."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    prefix = next((p for p in _PREFIXES if isinstance(value, str) and value.startswith(p)), None)
    return value if prefix is None else value.removeprefix(prefix).lower()


def _job_message(job: Job) -> messages.Job:
    content = job.model_dump(mode="json", exclude_none=True)
    message: messages.Job = ParseDict({**content, "state": f"STATE_{job.state.upper()}"}, messages.Job())
    return message
