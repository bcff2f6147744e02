"""REST: the same endpoints under ``/v1/``, described by OpenAPI."""

import asyncio
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Depends, FastAPI, Header, Path, Query, Request, Security
from fastapi.params import Depends as Dependency
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.version import VERSION
from services.aliases import Aliases
from services.jobs.job import Job, Problem
from services.jobs.job_service import LONGEST_S, JobService
from services.jobs.readiness import Readiness
from services.jobs.requests import (
    AliasImages,
    AnyRequest,
    BatchRequest,
    PostprocessRequest,
    SmoothRequest,
    TotalsegRequest,
    TumorRequest,
    UreterRequest,
    VesselRequest,
    parse_request,
)
from services.jobs.results import MaskResult
from services.offered_models import OfferedModels, offered_models
from services.rest.docs_page import add_docs_page
from services.rest.problems import PROBLEMS, Failed, add_problem_handlers
from services.rest.waiting import events, unless_gone
from services.tokens import Tokens

BODY_BYTES: Final = 1 << 20
"""Largest body of a request, which holds only paths."""
BODY_S: Final = 20.0
"""Seconds from the end of a request's headers to the end of its body."""
EVENTS: Final = "text/event-stream"


class BatchResult(BaseModel):
    """Masks by task."""

    masks: dict[str, MaskResult]


Timeout = Annotated[
    float, Query(gt=0, le=LONGEST_S, description="seconds to wait for; then the work is ended, and the answer is 504")
]
Patience = Annotated[float, Query(gt=0, le=LONGEST_S, description="seconds after which events end; the job goes on")]
Key = Annotated[
    UUID | None,
    Header(alias="Idempotency-Key", description="a UUID of your own for each request: a repeat finds the same job"),
]
Alias = Annotated[str, Path(min_length=1, max_length=63, examples=["liver"])]
MASK_ENDPOINTS: Final[dict[str, tuple[type[Any], str]]] = {
    "/inference/totalseg": (TotalsegRequest, "Organs"),
    "/inference/vessel": (VesselRequest, "Kidney, artery and vein in the space of A"),
    "/inference/ureter": (UreterRequest, "Ureter and kidney, of a delayed phase"),
    "/inference/tumor": (TumorRequest, "Kidney and tumour"),
    "/mask/smooth": (SmoothRequest, "Smooth labels of a mask"),
    "/mask/postprocess": (PostprocessRequest, "Apply steps of post-processing to a mask"),
}


def make_rest_app(
    job_service: JobService, readiness: Readiness, aliases: Aliases, tokens: Tokens, retry_after_s: int
) -> FastAPI:
    """Make the application that answers REST calls.

    Parameters
    ----------
    job_service, readiness, aliases, tokens
        The service behind it, whether it is ready, its models, and the tokens of its callers.
    retry_after_s
        Seconds that callers are told to wait, if the queue is full.
    """
    app = FastAPI(
        title="segnode",
        version=VERSION,
        description="Segmentation as a service: paths on a shared volume in, masks out.",
        responses=PROBLEMS,
        docs_url=None,  # FastAPI's pages take their scripts from the internet
        redoc_url=None,
    )
    add_docs_page(app)
    add_problem_handlers(app, retry_after_s)
    app.add_middleware(_SmallBodies)
    known = _known_callers(tokens)
    app.include_router(_mask_endpoints(job_service), prefix="/v1", dependencies=known)
    app.include_router(_model_endpoints(job_service, aliases), prefix="/v1", dependencies=known)
    app.include_router(_job_endpoints(job_service), prefix="/v1/jobs", dependencies=known)
    app.include_router(_probes(readiness))
    return app


def _known_callers(tokens: Tokens) -> list[Dependency]:
    async def known_caller(authorization: Annotated[str | None, Header(include_in_schema=False)] = None) -> None:
        if not tokens.admit(authorization):
            raise Failed(Problem(code="unauthenticated", message="Show a token: Authorization: Bearer ..."))

    bearer = HTTPBearer(auto_error=False, description="a token of the service's tokens_file")
    return [Depends(known_caller), *([Security(bearer)] if tokens.are_wanted else [])]


def _mask_endpoints(job_service: JobService) -> APIRouter:
    """Make the endpoints that wait for their masks."""
    router = APIRouter()

    def add(path: str, model: type[Any], summary: str) -> None:
        async def endpoint(
            request: Request, wanted: Any, timeout: Timeout = 3600.0, idempotency_key: Key = None
        ) -> MaskResult:
            job = await unless_gone(request, job_service.result(wanted, idempotency_key, timeout))
            return job.masks[wanted.task]

        endpoint.__annotations__["wanted"] = Annotated[model, Body()]
        router.post(path, summary=summary, operation_id=path.rsplit("/", 1)[-1])(endpoint)

    for path, (model, summary) in MASK_ENDPOINTS.items():
        add(path, model, summary)

    @router.post("/inference/batch", summary="Several segmentations on one reading of each image", operation_id="batch")
    async def batch(
        request: Request, wanted: BatchRequest, timeout: Timeout = 3600.0, idempotency_key: Key = None
    ) -> BatchResult:
        job = await unless_gone(request, job_service.result(wanted, idempotency_key, timeout))
        return BatchResult(masks=job.masks)

    return router


def _model_endpoints(job_service: JobService, aliases: Aliases) -> APIRouter:
    """Make the list of models, and the endpoint of all that are no task."""
    router = APIRouter()

    @router.get("/models", summary="List the models: what each takes and gives", operation_id="models")
    async def models() -> OfferedModels:
        return await asyncio.to_thread(offered_models, aliases)

    @router.post("/inference/{alias}", summary="Any other model, by its alias", operation_id="alias")
    async def infer(
        request: Request, alias: Alias, wanted: AliasImages, timeout: Timeout = 3600.0, idempotency_key: Key = None
    ) -> MaskResult:
        asked = parse_request({**wanted.model_dump(), "task": "alias", "alias": alias})
        job = await unless_gone(request, job_service.result(asked, idempotency_key, timeout))
        return job.masks[alias]

    return router


def _job_endpoints(job_service: JobService) -> APIRouter:
    """Make the endpoints of jobs, which do not wait."""
    router = APIRouter()

    @router.post("", status_code=HTTPStatus.ACCEPTED, summary="Queue a request of any kind")
    async def submit(wanted: AnyRequest, response: Response, idempotency_key: Key = None) -> Job:
        job = await job_service.submit(wanted, idempotency_key)
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return job

    @router.get("/{job_id}", summary="Return a job and its progress")
    async def get_job(job_id: str) -> Job:
        return await job_service.get(job_id)

    @router.get(
        "/{job_id}/events",
        summary="The same, at each change (server-sent events)",
        response_class=StreamingResponse,
        responses={200: {"content": {EVENTS: {"schema": {}}}, "description": "A job in JSON as each event's data"}},
    )
    async def follow(job_id: str, timeout: Patience = LONGEST_S) -> StreamingResponse:
        await job_service.keep(job_id)
        return StreamingResponse(events(job_service.follow(job_id, timeout)), media_type=EVENTS)

    @router.delete("/{job_id}", summary="Cancel a job")
    async def cancel(job_id: str) -> Job:
        return await job_service.cancel(job_id)

    return router


def _probes(readiness: Readiness) -> APIRouter:
    """Make the probes, which need no token and reveal only their state."""
    router = APIRouter()

    @router.get("/healthz", summary="Tell that the service answers")
    async def health() -> dict[str, Literal["ok"]]:
        return {"status": "ok"}

    @router.get(
        "/readyz",
        summary="Tell whether work that is requested now will be done",
        responses={503: {"description": "Why not: stopping, database_unreachable, no_worker"}},
    )
    async def ready() -> JSONResponse:
        state = await readiness.ask()
        return JSONResponse({"status": state}, HTTPStatus.OK if state == "ready" else HTTPStatus.SERVICE_UNAVAILABLE)

    return router


class _SmallBodies:
    """A limit on the size and time of a request's body, which arrives before its token is checked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        received, is_whole = 0, False
        ends_at = asyncio.get_running_loop().time() + BODY_S

        async def receive_some() -> Message:
            nonlocal received, is_whole
            try:
                async with asyncio.timeout_at(None if is_whole else ends_at):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(HTTPStatus.REQUEST_TIMEOUT) from error
            is_whole = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > BODY_BYTES:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return message

        await self._app(scope, receive_some, send)
