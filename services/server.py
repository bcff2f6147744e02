"""The process that callers reach: ``python -m services.server service.yaml``; gRPC and REST in one event loop.

It loads no model and starts no process.
"""

import asyncio
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

from dicom_io.tls import TlsFiles, client_context
from runtime.child import ParentLink, run_child
from runtime.lease_table import LeaseTable
from runtime.logs import configure_logging
from services.aliases import Aliases
from services.grpc_api.server import CALLS, make_grpc_server
from services.jobs.job_queue import Jobs
from services.jobs.job_service import JobService
from services.jobs.readiness import Readiness
from services.rest.app import make_rest_app
from services.rest.connections import Impatient
from services.settings import Listening, ServiceSettings, load_service_settings
from services.tokens import Tokens

CALLS_PER_ADDRESS: Final = CALLS // 2
"""REST connections of one address: the other half is left to others, the probes of a cluster among them."""

GRACE_S: Final = 5.0
"""Seconds for which calls may go on after the service was told to stop."""


class _Uvicorn(uvicorn.Server):
    """A Uvicorn server that leaves signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture no signals."""
        yield


async def serve(settings: ServiceSettings, link: ParentLink) -> None:
    """Answer calls until the supervisor stops the service; then waiting calls end, and their jobs go on.

    Raises
    ------
    ConfigInvalid
        If files of ``tls``, the ``tokens_file`` or a port cannot be used.
    """
    for listening in (settings.grpc, settings.rest):
        if listening is not None and (tls := listening.tls) is not None:
            client_context(TlsFiles(tls.ca, tls.certificate, tls.key))  # it says which file, and what of it
    jobs, leases = Jobs(settings), LeaseTable(settings.database, settings.lease_seconds)
    job_service, readiness, tokens = JobService(jobs), Readiness(leases), Tokens(settings.tokens_file)
    aliases = Aliases(settings)
    retry_after_s = settings.queue.retry_after_seconds
    grpc_server, rest_server, rest_task = None, None, None
    if settings.grpc is not None:
        grpc_server = make_grpc_server(job_service, readiness, aliases, settings.grpc, tokens, retry_after_s)
    if settings.rest is not None:
        rest_server = _rest_server(make_rest_app(job_service, readiness, aliases, tokens, retry_after_s), settings.rest)
        rest_task = asyncio.create_task(_serve_rest(rest_server, settings.rest))
        while not rest_server.started and not rest_task.done():
            await asyncio.sleep(0.01)
        if rest_task.done():
            rest_task.result()  # why there is no REST
    if grpc_server is not None:
        await grpc_server.start()  # last: none that runs is left behind where the other port is taken
    link.say_ready()
    await asyncio.to_thread(link.wait_for_stop)
    readiness.stop()
    await job_service.stop()
    if rest_server is not None:
        rest_server.should_exit = True
    ends = [grpc_server.stop(GRACE_S)] if grpc_server is not None else []
    await asyncio.gather(*ends, *([rest_task] if rest_task is not None else []))
    jobs.close()
    leases.close()


async def _serve_rest(server: uvicorn.Server, listening: Listening) -> None:
    try:
        await server.serve()
    except SystemExit as error:  # with which uvicorn would end this process, and say no more
        raise listening.refused("rest") from error


def _rest_server(app: FastAPI, listening: Listening) -> _Uvicorn:
    config = uvicorn.Config(
        app,
        host=listening.host,
        port=listening.port,
        log_config=None,
        access_log=False,  # its lines would be of callers and paths
        server_header=False,
        timeout_graceful_shutdown=int(GRACE_S),
        limit_concurrency=CALLS,
        http=Impatient.sharing(CALLS - 1, CALLS_PER_ADDRESS),
    )
    if (tls := listening.tls) is not None:
        config.ssl_certfile, config.ssl_keyfile = str(tls.certificate), str(tls.key)
        if tls.ca is not None:
            config.ssl_ca_certs, config.ssl_cert_reqs = str(tls.ca), ssl.CERT_REQUIRED
    return _Uvicorn(config)


def main() -> None:
    """Run the process."""
    configure_logging("server")

    def work() -> None:
        settings = load_service_settings(Path(sys.argv[1]))
        link = ParentLink()
        configure_logging("server", settings.logs)
        asyncio.run(serve(settings, link))

    run_child(work)


if __name__ == "__main__":
    main()
