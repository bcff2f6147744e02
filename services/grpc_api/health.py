"""gRPC's standard health service, which tells whether work that is requested now will be done.

The servicer of ``grpcio-health-checking`` must be told each state; this one reads it. There, a watcher that leaves also
takes the updates from other watchers.
"""

from collections.abc import AsyncIterator
from typing import Any, Final, TypeAlias

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.jobs.readiness import Readiness

WATCH_EVERY_S: Final = 1.0
WATCHERS: Final = 300
"""Watchers at one time; they show no token, and must not take the place of callers."""
_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class Health(health_pb2_grpc.HealthServicer):
    """``Check`` and ``Watch``; a watch lasts until its caller leaves or the service stops.

    Parameters
    ----------
    readiness
        The state that is reported.
    services
        Full names of the services it is reported for; the empty name is the whole server.
    """

    def __init__(self, readiness: Readiness, services: frozenset[str]) -> None:
        self._readiness = readiness
        self._services = services | {""}
        self._watching = 0

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> health_pb2.HealthCheckResponse:
        """Return the present state."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return health_pb2.HealthCheckResponse(status=await self._status())

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Yield the state at each change, until the service stops."""
        if self._watching >= WATCHERS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watchers; try again later")
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
