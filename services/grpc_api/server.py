"""gRPC: ``segnode.v1.Segmentation``, health and reflection, within limits."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from core.errors import ConfigInvalid
from core.event_log import EventLog
from segnode_client.v1 import segmentation_pb2 as messages
from segnode_client.v1 import segmentation_pb2_grpc as stubs
from services.aliases import Aliases
from services.grpc_api.health import Health
from services.grpc_api.messages import status_of
from services.grpc_api.servicer import Servicer
from services.jobs.job import Problem
from services.jobs.job_service import JobService
from services.jobs.readiness import Readiness
from services.settings import Listening, Tls
from services.tokens import Tokens

NAME: Final = messages.DESCRIPTOR.services_by_name["Segmentation"].full_name
CALLS: Final = 1000
"""Calls at one time, of all callers; most of them wait for the queue."""
OPTIONS: Final = (
    ("grpc.max_receive_message_length", 1 << 20),  # requests are paths
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.max_concurrent_streams", 256),  # of one connection; further calls of it wait at the caller
    # A caller whose machine is gone is noticed within a minute and a half, and its job ended.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),  # 0: any number
    # Callers may look as often whether this machine is still there, and only while they wait for something.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 30_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.max_connection_idle_ms", 600_000),
    ("grpc.so_reuseport", 0),
)

_log = EventLog()

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class _OnlyKnownCallers(grpc.aio.ServerInterceptor):
    """An interceptor that admits callers with a token; health checks need none."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Let a call through, or answer it here."""
        metadata = dict(handler_call_details.invocation_metadata)
        is_health = handler_call_details.method.startswith(f"/{health.SERVICE_NAME}/")
        try:
            if is_health or self._tokens.admit(str(metadata.get("authorization", ""))):
                return await continuation(handler_call_details)
        except ConfigInvalid as error:
            _log.error("service_misconfigured", reason=str(error))
            return _refusal(Problem.of(error))
        return _refusal(Problem(code="unauthenticated", message="Show a token: authorization: Bearer ..."))


def _refusal(problem: Problem) -> Any:
    async def refuse(request: object, context: Context) -> None:
        await context.abort_with_status(rpc_status.to_status(status_of(problem, 0)))

    return grpc.unary_unary_rpc_method_handler(refuse)


def make_grpc_server(
    job_service: JobService,
    readiness: Readiness,
    aliases: Aliases,
    listening: Listening,
    tokens: Tokens,
    retry_after_s: int,
) -> grpc.aio.Server:
    """Make a server that listens once it is started.

    Parameters
    ----------
    job_service, readiness, aliases, tokens
        The service behind it, whether it is ready, and the tokens of its callers.
    listening
        Host, port and TLS.
    retry_after_s
        Seconds that callers are told to wait, if the queue is full.

    Raises
    ------
    ConfigInvalid
        If it cannot listen on that port.
    """
    server = grpc.aio.server(interceptors=[_OnlyKnownCallers(tokens)], options=OPTIONS, maximum_concurrent_rpcs=CALLS)
    add_servicer: Any = stubs.add_SegmentationServicer_to_server  # generated without types
    add_servicer(Servicer(job_service, aliases, retry_after_s), server)
    health_pb2_grpc.add_HealthServicer_to_server(Health(readiness, frozenset({NAME})), server)
    reflection.enable_server_reflection((NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    try:
        if listening.tls is None:
            server.add_insecure_port(listening.address)
        else:
            server.add_secure_port(listening.address, _credentials(listening.tls))
    except RuntimeError as error:
        raise listening.refused("grpc") from error
    return server


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key.read_bytes(), tls.certificate.read_bytes())],
        root_certificates=tls.ca.read_bytes() if tls.ca else None,
        require_client_auth=tls.ca is not None,
    )
