"""REST: the same endpoints under ``/v1/``, described by OpenAPI; errors as problem+json (RFC 9457)."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import Body, Depends, FastAPI, Header, Query, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import SegnodeError
from core.version import VERSION
from services.handlers import Handlers
from services.jobs import Job, Problem
from services.problems import http_status
from services.requests import (
    AnyRequest,
    BatchRequest,
    PostprocessRequest,
    SmoothRequest,
    TotalsegRequest,
    TumorRequest,
    UreterRequest,
    VesselRequest,
)
from services.results import MaskResult
from services.tokens import Tokens

BODY_BYTES: Final = 1 << 20
"""Requests are paths."""
IS_STILL_THERE_S: Final = 0.5
PROBLEM_JSON: Final = "application/problem+json"
EVENTS: Final = "text/event-stream"


class ProblemDetails(BaseModel):
    """What went wrong."""

    type: str = Field(examples=["urn:segnode:problem:wrong_phase"])
    title: str
    status: int
    detail: str = ""
    code: str = Field(examples=["wrong_phase"])
    retry: bool = Field(description="whether the same may succeed later")


class BatchResult(BaseModel):
    """Masks by task."""

    masks: dict[str, MaskResult]


class _Failed(Exception):
    def __init__(self, problem: Problem) -> None:
        self.problem = problem


Timeout = Annotated[
    float, Query(gt=0, le=24 * 3600, description="seconds to wait for; then the work is ended, and the answer is 504")
]
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    "default": {
        "content": {PROBLEM_JSON: {"schema": ProblemDetails.model_json_schema()}},
        "description": "What went wrong",
    }
}


def make_rest_app(handlers: Handlers, tokens: Tokens, retry_after_s: int) -> FastAPI:
    """The application that answers REST calls.

    Parameters
    ----------
    handlers, tokens
        What it does, and for whom.
    retry_after_s
        What callers are told where the queue is full.
    """

    async def known_caller(authorization: Annotated[str | None, Header(include_in_schema=False)] = None) -> None:
        if not tokens.admit(authorization):
            raise _Failed(Problem(code="unauthenticated", message="Show a token: Authorization: Bearer ..."))

    app = FastAPI(
        title="segnode",
        version=VERSION,
        description="Segmentation as a service: paths on a shared volume in, masks out.",
        responses=_PROBLEMS,
    )
    _add_problem_handlers(app, retry_after_s)
    app.add_middleware(_SmallBodies)
    bearer = HTTPBearer(auto_error=False, description="a token of the service's tokens_file")
    caller = [Depends(known_caller), *([Security(bearer)] if tokens.are_wanted else [])]

    async def result(request: Request, wanted: AnyRequest, timeout: float) -> Job:
        job = await _unless_gone(request, handlers, wanted, timeout)
        if job.problem is not None:
            raise _Failed(job.problem)
        return job

    def add_mask_endpoint(path: str, model: type[Any], summary: str) -> None:
        async def endpoint(request: Request, wanted: Any, timeout: Timeout = 3600.0) -> MaskResult:
            job = await result(request, wanted, timeout)
            return job.masks[wanted.task]

        endpoint.__annotations__["wanted"] = Annotated[model, Body()]
        app.post(path, summary=summary, dependencies=caller, operation_id=path.rsplit("/", 1)[-1])(endpoint)

    add_mask_endpoint("/v1/inference/totalseg", TotalsegRequest, "Organs")
    add_mask_endpoint("/v1/inference/vessel", VesselRequest, "Kidney, artery and vein in the space of A")
    add_mask_endpoint("/v1/inference/ureter", UreterRequest, "Ureter and kidney, of a delayed phase")
    add_mask_endpoint("/v1/inference/tumor", TumorRequest, "Kidney and tumour")
    add_mask_endpoint("/v1/mask/smooth", SmoothRequest, "Smooth labels of a mask")
    add_mask_endpoint("/v1/mask/postprocess", PostprocessRequest, "Apply steps of post-processing to a mask")

    @app.post("/v1/inference/batch", summary="Several on one reading of each image", dependencies=caller)
    async def batch(request: Request, wanted: BatchRequest, timeout: Timeout = 3600.0) -> BatchResult:
        return BatchResult(masks=(await result(request, wanted, timeout)).masks)

    @app.post("/v1/jobs", status_code=HTTPStatus.ACCEPTED, summary="Queue any of them", dependencies=caller)
    async def submit(wanted: AnyRequest, response: Response) -> Job:
        job = await handlers.submit(wanted)
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return job

    @app.get("/v1/jobs/{job_id}", summary="How far a job is", dependencies=caller)
    async def get_job(job_id: str) -> Job:
        return await handlers.get(job_id)

    @app.get(
        "/v1/jobs/{job_id}/events",
        summary="The same, at each change (server-sent events)",
        dependencies=caller,
        response_class=StreamingResponse,
        responses={200: {"content": {EVENTS: {"schema": {}}}, "description": "A job in JSON as each event's data"}},
    )
    async def follow(job_id: str) -> StreamingResponse:
        await handlers.get(job_id)
        return StreamingResponse(_events(handlers.follow(job_id)), media_type=EVENTS)

    @app.delete("/v1/jobs/{job_id}", summary="End a job", dependencies=caller)
    async def cancel(job_id: str) -> Job:
        return await handlers.cancel(job_id)

    @app.get("/healthz", summary="Whether the service answers")
    async def health() -> dict[str, Literal["ok"]]:
        return {"status": "ok"}

    return app


class _SmallBodies:
    """Ends a request whose body is too long while it comes in: who sends it has shown no token yet."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        received = 0

        async def receive_some() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > BODY_BYTES:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return message

        await self._app(scope, receive_some, send)


async def _unless_gone(request: Request, handlers: Handlers, wanted: AnyRequest, timeout: float) -> Job:
    """The job at its end; it is ended with its caller, and with the caller's patience."""
    work = asyncio.ensure_future(handlers.result(wanted))
    deadline = asyncio.get_running_loop().time() + timeout
    try:
        while True:
            left = deadline - asyncio.get_running_loop().time()
            done, _ = await asyncio.wait([work], timeout=max(0.0, min(IS_STILL_THERE_S, left)))
            if done:
                return work.result()
            if left <= 0:
                raise _Failed(Problem(code="deadline_exceeded", message=f"Not done in {timeout:g} s.", retry=True))
            if await request.is_disconnected():
                raise _Failed(Problem(code="cancelled", message="The caller is gone."))
    finally:
        work.cancel()


async def _events(jobs: AsyncIterator[Job]) -> AsyncIterator[str]:
    async for job in jobs:
        yield f"event: {job.state}\ndata: {job.model_dump_json()}\n\n"


def _add_problem_handlers(app: FastAPI, retry_after_s: int) -> None:
    def answer(problem: Problem, status: HTTPStatus | None = None) -> JSONResponse:
        status = status or http_status(problem)
        details = ProblemDetails(
            type=f"urn:segnode:problem:{problem.code}",
            title=status.phrase,
            status=status,
            detail=problem.message,
            code=problem.code,
            retry=problem.retry,
        )
        headers = {"Retry-After": str(retry_after_s)} if problem.retry else {}
        if status is HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(details.model_dump(), status, headers, PROBLEM_JSON)

    @app.exception_handler(_Failed)
    async def failed(request: Request, error: _Failed) -> JSONResponse:
        return answer(error.problem)

    @app.exception_handler(SegnodeError)
    async def refused(request: Request, error: SegnodeError) -> JSONResponse:
        return answer(Problem.of(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # What was sent is not repeated: it may name a patient.
        detail = "; ".join(f"{'.'.join(map(str, one['loc'][1:])) or 'body'}: {one['msg']}" for one in error.errors())
        return answer(Problem(code="invalid_request", message=detail))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        told = answer(Problem(code="invalid_request", message=status.description), status)
        told.headers.update(error.headers or {})  # which methods a 405 allows
        return told
