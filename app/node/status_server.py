"""``/healthz``, ``/readyz`` and ``/metrics`` of a node, over HTTP.

Served by the supervisor, which outlives its children and does nothing else; what it says of studies it reads from the
spool, at most once every few seconds, however often it is asked. There is no patient in it: counts, states and names of
``node.yaml``.
"""

import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from app.node.presence import read_processes
from app.node.status import NodeStatus, look
from core.errors import ConfigInvalid
from core.event_log import EventLog
from dicom_io.spool.counters import COUNTERS, read_counters
from dicom_io.spool.free_space import KeptFree
from dicom_io.spool.spool import Spool
from runtime.address_share import AddressShare

LOOK_EVERY_S = 5.0
LOOKING_SHARE = 0.1
"""Most of the time that is spent on looking: a year's studies take seconds, and a disk that others need."""

REQUEST_TIMEOUT_S = 10.0
CONNECTIONS, CONNECTIONS_PER_ADDRESS = 256, 64
"""Each has a thread and a file of the supervisor; beyond them a new one takes the place of the oldest."""

_log = EventLog()


class StatusCollector:
    """Looks at a node now and then, for whoever asks.

    Parameters
    ----------
    spool
        The node's spool.
    kept_free
        What has to stay free on its disk; nothing if left out.
    """

    def __init__(self, spool: Spool, kept_free: KeptFree | None = None) -> None:
        self._spool = spool
        self._kept_free = kept_free or KeptFree()
        self._lock = threading.Lock()
        self._seen: tuple[NodeStatus, dict[str, float]] | None = None
        self._next = 0.0

    def processes(self) -> dict[str, bool]:
        """Return whether each process takes work now; a probe that waited for all studies would be too late."""
        return read_processes(self._spool.root)

    def disk_problem(self) -> str:
        """Return the reason for which every image is refused for want of disk; empty where there is room."""
        return self._kept_free.refusal(self._spool.root)

    def look(self) -> tuple[NodeStatus, dict[str, float]]:
        """Return the newest overview and the processes' counts.

        Raises
        ------
        OSError
            If the spool cannot be read.
        """
        with self._lock:
            began = time.monotonic()
            if self._seen is None or began >= self._next:
                self._seen = look(self._spool, self._kept_free), read_counters(self._spool.root / COUNTERS)
                ended = time.monotonic()
                self._next = ended + max(LOOK_EVERY_S, (ended - began) / LOOKING_SHARE)
            return self._seen

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as `prometheus_client` asks a collector for them."""
        overview, counts = self.look()
        yield _counter("segnode_received_instances", "Instances that were received and stored", counts)
        yield _counter("segnode_received_bytes", "Bytes of received instances", counts)
        yield _counter("segnode_rejected_associations", "Associations that were turned away", counts)
        for name, what in (("seconds", "Seconds spent"), ("runs", "Runs")):
            stages = CounterMetricFamily(f"segnode_stage_{name}", f"{what}, by stage of the work", labels=["stage"])
            for key, value in sorted(counts.items()):
                family, _, label = key.partition(" ")
                if family == f"segnode_stage_{name}":
                    stages.add_metric([label], value)
            yield stages
        studies = GaugeMetricFamily(
            "segnode_studies", "Studies by the state of their newest revision", labels=["state"]
        )
        for state, number in overview.studies.items():
            studies.add_metric([state], number)
        yield studies
        yield GaugeMetricFamily(
            "segnode_unconfirmed_studies", "Failed studies that a destination did not confirm", overview.unconfirmed
        )
        yield GaugeMetricFamily("segnode_damaged_studies", "Studies whose files cannot be read", len(overview.damaged))
        processes = GaugeMetricFamily("segnode_process_ready", "Whether a process takes work", labels=["process"])
        for name, ready in overview.processes.items():
            processes.add_metric([name], float(ready))
        yield processes
        deliveries = GaugeMetricFamily(
            "segnode_deliveries_pending", "Studies a destination waits for", labels=["destination"]
        )
        for name, number in overview.deliveries.items():
            deliveries.add_metric([name], number)
        yield deliveries
        yield GaugeMetricFamily("segnode_queue_depth", "Complete studies not at their end", overview.queue_depth)
        yield GaugeMetricFamily(
            "segnode_oldest_waiting_seconds", "Age of the oldest of them", overview.oldest_waiting_s
        )
        yield GaugeMetricFamily("segnode_spool_free_bytes", "Room on the spool's disk", overview.free_bytes)
        yield GaugeMetricFamily(
            "segnode_gpu_memory_peak_bytes",
            "Most GPU memory that the networks held during a study; 0 without a GPU",
            max((value for key, value in counts.items() if key.startswith("gpu_memory_peak")), default=0.0),
        )


def _counter(name: str, what: str, counts: dict[str, float]) -> CounterMetricFamily:
    return CounterMetricFamily(name, what, counts.get(name, 0.0))


class _Handler(BaseHTTPRequestHandler):
    collector: ClassVar[StatusCollector]
    registry: ClassVar[CollectorRegistry]
    server_version, sys_version = "segnode", ""
    timeout = REQUEST_TIMEOUT_S

    def do_GET(self) -> None:
        try:
            status, kind, body = self._answer()
        except OSError:  # the spool cannot be read
            status, kind, body = 503, "application/json", b'{"ready": false, "problem": "spool"}\n'
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self) -> tuple[int, str, bytes]:
        if self.path == "/healthz":
            return 200, "text/plain; charset=utf-8", b"ok\n"
        if self.path == "/readyz":
            processes = self.collector.processes()
            disk_problem = self.collector.disk_problem()
            ready = bool(processes) and all(processes.values()) and not disk_problem
            content: dict[str, object] = {"ready": ready, "processes": processes}
            if disk_problem:
                content |= {"problem": "disk", "message": f"{disk_problem}, so every image is refused"}
            return 200 if ready else 503, "application/json", json.dumps(content).encode() + b"\n"
        if self.path == "/metrics":
            return 200, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self.registry)
        return 404, "text/plain; charset=utf-8", b"/healthz /readyz /metrics\n"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a scrape every few seconds is no event, and a path is what a stranger wrote."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._share: AddressShare[socket.socket] = AddressShare(CONNECTIONS, CONNECTIONS_PER_ADDRESS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a connection's thread, and end another connection where its address has too many."""
        ended = self._share.enter(client_address[0], request)
        if ended is not None:
            with suppress(OSError):  # it has ended by itself
                ended.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Give a connection's place back."""
        self._share.leave(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong with a request without its traceback, mostly a client that did not wait."""
        problem = sys.exc_info()[0]
        _log.warning("http_request_failed", error=problem.__name__ if problem else "none")


def serve_status(spool: Spool, host: str, port: int, kept_free: KeptFree | None = None) -> ThreadingHTTPServer:
    """Answer in threads of its own, until the process ends.

    Raises
    ------
    ConfigInvalid
        If the address cannot be listened on.
    """
    collector = StatusCollector(spool, kept_free)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    handler = type("Handler", (_Handler,), {"collector": collector, "registry": registry})
    try:
        server = _Server((host, port), handler)
    except OSError as error:
        raise ConfigInvalid(f"http: host {host} port {port}: {error.strerror}; choose another") from error
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    _log.info("http_started", port=server.server_port)
    return server
