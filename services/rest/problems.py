"""Errors of REST calls as problem+json (RFC 9457)."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from core.errors import SegnodeError
from core.event_log import EventLog
from services.jobs.job import Problem
from services.jobs.requests import in_words
from services.problems import http_status

PROBLEM_JSON: Final = "application/problem+json"

CODES: Final = {HTTPStatus.NOT_FOUND: "unknown_path", HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed"}
"""Codes of what the framework refuses by itself; all else is an invalid request."""

_log = EventLog()


class ProblemDetails(BaseModel):
    """The problem of a call, in the form of RFC 9457."""

    type: str = Field(examples=["urn:segnode:problem:wrong_phase"])
    title: str
    status: int
    detail: str = ""
    code: str = Field(examples=["wrong_phase"])
    retry: bool = Field(description="whether the same may succeed later")


PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    "default": {
        "content": {PROBLEM_JSON: {"schema": ProblemDetails.model_json_schema()}},
        "description": "The problem",
    }
}
"""Error responses of every endpoint, for the OpenAPI description."""


class Failed(Exception):
    """A call ends with a problem, which the handlers below answer."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


def add_problem_handlers(app: FastAPI, retry_after_s: int) -> None:
    """Make an application answer every error as a problem.

    Parameters
    ----------
    app
        The application.
    retry_after_s
        Seconds that callers are told to wait, if the same call may succeed later.
    """

    def answer(problem: Problem, status: HTTPStatus | None = None) -> JSONResponse:
        return _answer(problem, status or http_status(problem), retry_after_s)

    @app.exception_handler(Failed)
    async def failed(request: Request, error: Failed) -> JSONResponse:
        return answer(error.problem)

    @app.exception_handler(SegnodeError)
    async def refused(request: Request, error: SegnodeError) -> JSONResponse:
        problem = Problem.of(error)
        if problem.code == "service_misconfigured":
            _log.error("service_misconfigured", reason=str(error))
        return answer(problem)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        media_type = request.headers.get("content-type")
        if request.method == "POST" and not media_type:
            message = "The header Content-Type is missing; it must be application/json."
        elif request.method == "POST" and not _is_json(media_type):
            message = "The header Content-Type must be application/json."
        else:
            message = in_words(error.errors())
        return answer(Problem(code="invalid_request", message=message))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        told = answer(Problem(code=CODES.get(status, "invalid_request"), message=status.description), status)
        told.headers.update(error.headers or {})  # which methods a 405 allows
        return told

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        return answer(Problem(code="internal_error", message="The service's log has the details."))


def _is_json(media_type: str | None) -> bool:
    name = (media_type or "").partition(";")[0].strip().lower()
    return name == "application/json" or (name.startswith("application/") and name.endswith("+json"))


def _answer(problem: Problem, status: HTTPStatus, retry_after_s: int) -> JSONResponse:
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
