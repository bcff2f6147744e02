"""A fault of the program: both protocols answer it by its code, and repeat none of its text."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from starlette.testclient import TestClient

from segnode_client.v1 import segmentation_pb2 as messages
from services.grpc_api.servicer import Servicer
from services.jobs.job import Job
from services.rest.app import make_rest_app
from services.tokens import Tokens

PATH = "/data/cases/0001"


class Broken:
    """Handlers that fail."""

    async def get(self, job: str) -> Job:
        """Return a job and its progress."""
        raise KeyError(PATH)

    async def run(self, *request: object) -> AsyncIterator[Job]:
        """A job at each change."""
        yield Job(id="1", state="queued", progress=0.0)
        raise KeyError(PATH)


class Context:
    """A call's, that keeps what it ends with."""

    def invocation_metadata(self) -> tuple[()]:
        """Return the metadata of the call."""
        return ()

    async def abort_with_status(self, status: Any) -> None:
        """End the call."""
        self.status = status
        raise grpc.aio.AbortError


def test_rest_answers_by_a_problem() -> None:
    job_service: Any = Broken()
    readiness: Any = None
    aliases: Any = None
    app = make_rest_app(job_service, readiness, aliases, Tokens(None), 5)
    with TestClient(app, raise_server_exceptions=False) as caller:
        answer = caller.get("/v1/jobs/1")
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert answer.json()["code"] == "internal_error"
    assert PATH not in answer.text


@pytest.mark.parametrize("method", ["GetJob", "Run"])
def test_grpc_answers_by_a_status(method: str, caplog: pytest.LogCaptureFixture) -> None:
    job_service: Any = Broken()
    aliases: Any = None
    servicer, context = Servicer(job_service, aliases, 5), Context()
    whole: Any = context

    async def call() -> None:
        if method == "GetJob":
            await servicer.GetJob(messages.JobReference(id="1"), whole)
        request = messages.JobRequest(tumor=messages.TumorRequest(image_path="cases:x"))
        async for _ in servicer.Run(request, whole):
            pass

    with pytest.raises(grpc.aio.AbortError):
        asyncio.run(call())
    assert context.status.code is grpc.StatusCode.INTERNAL
    assert PATH not in context.status.details
    assert "call_failed" in caplog.messages
    assert PATH not in caplog.text
