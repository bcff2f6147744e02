"""gRPC's standard health service, which tells whether work that is asked for now will be done.

The one that comes with ``grpcio-health-checking`` is told its state; this one asks. Of several who watch there, one
that leaves takes the news from the others.
"""

from collections.abc import AsyncIterator
from typing import Any, Final, TypeAlias

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.jobs.readiness import Readiness

WATCH_EVERY_S: Final = 1.0
WATCHERS: Final = 300
"""At once; they show no token, and must not take the place of those who call."""
_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class Health(health_pb2_grpc.HealthServicer):
    """``Check`` and ``Watch``; nothing limits how long somebody watches but the stop of the service.

    Parameters
    ----------
    readiness
        What is told.
    services
        Those that it is told of, by their full names; the empty one is the whole server.
    """

    def __init__(self, readiness: Readiness, services: frozenset[str]) -> None:
        self._readiness = readiness
        self._services = services | {""}
        self._watching = 0

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> health_pb2.HealthCheckResponse:
        """State at this moment."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return health_pb2.HealthCheckResponse(status=await self._status())

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """State at each change; ends when the service stops."""
        if self._watching >= WATCHERS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watch already")
        self._watching += 1
        told = None
        try:
            while True:
                status = await self._status() if request.service in self._services else _UNKNOWN
                if status != told:
                    yield health_pb2.HealthCheckResponse(status=status)
                told = status
                if self._readiness.is_stopping:
                    return
                await self._readiness.wait(WATCH_EVERY_S)
        finally:
            self._watching -= 1

    async def _status(self) -> int:
        return _SERVING if await self._readiness.ask() == "ready" else _NOT_SERVING
