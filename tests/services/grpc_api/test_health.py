"""Probes over gRPC: they come without a token, and leave room for those who show one."""

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from services.grpc_api.health import WATCHERS, Health
from services.grpc_api.server import CALLS

REQUEST = health_pb2.HealthCheckRequest()


class Ready:
    """A readiness that a test sets."""

    is_stopping = False

    async def ask(self) -> str:
        """At this moment."""
        return "ready"


class Context:
    """A call's."""

    async def abort(self, code: grpc.StatusCode, text: str) -> None:
        """End the call."""
        raise grpc.aio.AbortError(code)


def test_watchers_leave_room_for_callers() -> None:
    readiness: Any = Ready()
    context: Any = Context()
    health = Health(readiness, frozenset())

    async def watch() -> None:
        watching: list[Any] = [health.Watch(REQUEST, context) for _ in range(WATCHERS)]
        for one in watching:
            assert (await anext(one)).status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AbortError, match="RESOURCE_EXHAUSTED"):
            await anext(health.Watch(REQUEST, context))
        await watching.pop().aclose()
        watching.append(health.Watch(REQUEST, context))
        await anext(watching[-1])
        for one in watching:
            await one.aclose()

    asyncio.run(watch())
    assert WATCHERS <= CALLS // 2
