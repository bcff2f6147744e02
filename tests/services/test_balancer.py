"""Two instances behind nginx, set up as in manifests: they share one queue, and one of them may die."""

import os
import signal
import socket
import socketserver
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest

from segnode_client import Client
from segnode_client.v1 import segmentation_pb2 as messages
from segnode_client.v1 import segmentation_pb2_grpc as stubs
from tests.support.node_process import ROOT, free_port, wait_until
from tests.support.postgres import Postgres
from tests.support.service_cases import ALIASES, make_models, write_case
from tests.support.service_process import ServiceProcess

BROKEN = "cases:broken"
KEY = {"Idempotency-Key": "6f1c2f04-27c1-4f0e-9d5c-0d9a8f2f5b11"}


@dataclass
class Balanced:
    """Two instances, and the ports of the nginx before them."""

    first: ServiceProcess
    second: ServiceProcess
    rest: str
    grpc: str
    volume: Path


def configuration(folder: Path, ports: dict[str, int]) -> Path:
    """The example of manifests on free ports, with what a whole ``nginx.conf`` has around it."""
    example = (ROOT / "manifests" / "nginx.service.conf").read_text(encoding="utf-8")
    for known, port in ports.items():
        assert known in example
        example = example.replace(known, f"127.0.0.1:{port}")
    paths = "\n".join(
        f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = folder / "nginx.conf"
    whole.write_text(
        f"daemon off; pid {folder / 'nginx.pid'}; error_log {folder / 'error.log'}; events {{}}\n"
        f"http {{ access_log off; {paths}\n{example} }}\n"
    )
    return whole


@contextmanager
def running(nginx: str, folder: Path, ports: dict[str, int]) -> Iterator[None]:
    """nginx with the example of manifests on these ports; ended afterwards."""
    config = configuration(folder, ports)
    with (
        (folder / "nginx.log").open("wb") as log,
        subprocess.Popen([nginx, "-p", folder, "-c", config], stdout=log, stderr=log) as balancer,  # noqa: S603 - a peer
    ):
        try:
            yield
        finally:
            balancer.terminate()


@pytest.fixture(scope="module")
def balanced(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, peer: Callable[[str], str]
) -> Iterator[Balanced]:
    nginx, folder = peer("nginx"), tmp_path_factory.mktemp("balanced")
    models, volume = make_models(folder / "models"), folder / "volume"
    volume.mkdir()
    shared = {"work": str(folder / "work"), "database": postgres.url, "lease_seconds": 3}
    first, second = (
        ServiceProcess(folder / name, volume, models, ALIASES, executor=name, **shared) for name in ("first", "second")
    )
    with ThreadPoolExecutor(2) as starting, ExitStack() as stack:
        for service in (first, second):
            stack.callback(service.stop)
        list(starting.map(ServiceProcess.start, (first, second)))
        rest, grpc_port = free_port(), free_port()
        ports = {
            "127.0.0.1:8081": first.rest_port,
            "127.0.0.1:8082": second.rest_port,
            "127.0.0.1:50051": first.grpc_port,
            "127.0.0.1:50052": second.grpc_port,
            "127.0.0.1:8080": rest,
            "127.0.0.1:50050": grpc_port,
        }
        stack.enter_context(running(nginx, folder, ports))
        wait_until(lambda: _answers(f"http://127.0.0.1:{rest}/healthz"))
        yield Balanced(first, second, f"http://127.0.0.1:{rest}", f"127.0.0.1:{grpc_port}", volume)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


class _DiesOfIt(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        """Read a call until the path in it has come, and hang up."""
        got = b""
        while BROKEN.encode() not in got and (some := self.request.recv(65536)):
            got += some
        if BROKEN.encode() in got:
            seen = self.server
            assert isinstance(seen, Breaking)
            seen.calls += 1


class Breaking(socketserver.ThreadingTCPServer):
    """Instances that die of every call after they have got it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _DiesOfIt)
        self.calls = 0


@pytest.mark.parametrize(
    ("kind", "headers", "times"),
    [("POST", {}, 1), ("POST", KEY, 2), ("GET", {}, 2), ("gRPC", KEY, 1)],
)
def test_a_call_that_broke_is_sent_again_where_that_does_no_work_twice(
    kind: str, headers: dict[str, str], times: int, tmp_path: Path, peer: Callable[[str], str]
) -> None:
    rest, grpc_port = free_port(), free_port()
    with Breaking() as first, Breaking() as second, ThreadPoolExecutor(2) as serving:
        for instance in (first, second):
            serving.submit(instance.serve_forever, 0.05)
        upstreams = zip((8081, 8082, 50051, 50052), (first, second) * 2, strict=True)
        ports = {f"127.0.0.1:{known}": instance.server_address[1] for known, instance in upstreams}
        try:
            with running(peer("nginx"), tmp_path, {**ports, "127.0.0.1:8080": rest, "127.0.0.1:50050": grpc_port}):
                wait_until(lambda: listens(rest) and listens(grpc_port))
                if kind == "gRPC":
                    metadata = [(name.lower(), value) for name, value in headers.items()]
                    request = messages.TumorRequest(image_path=BROKEN)
                    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel, pytest.raises(grpc.RpcError):
                        stubs.SegmentationStub(channel).Tumor(request, metadata=metadata, timeout=60)
                else:
                    url = f"http://127.0.0.1:{rest}/v1/jobs/{BROKEN if kind == 'GET' else ''}"
                    answer = httpx.request(kind, url, headers=headers, content=BROKEN, timeout=60)
                    assert answer.status_code == 502
        finally:
            for instance in (first, second):
                instance.shutdown()
        assert first.calls + second.calls == times


def listens(port: int) -> bool:
    """Tell whether a port of this machine accepts connections."""
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def test_a_job_that_one_took_is_seen_through_all(balanced: Balanced) -> None:
    write_case(balanced.volume / "seen")
    with Client(balanced.first.grpc, timeout_s=120) as client:
        job = client.submit("tumor", image_path="cases:seen/A.nii.gz")
    with Client(balanced.second.grpc, timeout_s=120) as client:
        wait_until(lambda: client.job(job.id).state == "done")
    for rest in (balanced.first.rest, balanced.second.rest, balanced.rest):
        assert httpx.get(f"{rest}/v1/jobs/{job.id}", timeout=60).json()["state"] == "done"


def test_both_protocols_pass_the_balancer(balanced: Balanced) -> None:
    write_case(balanced.volume / "passed")
    with Client(balanced.grpc, timeout_s=120) as client:
        states = [job.state for job in client.run("tumor", image_path="cases:passed/A.nii.gz")]
    assert (states[0], states[-1]) == ("queued", "done")
    image = {"image_path": "cases:passed/A.nii.gz"}
    assert httpx.post(f"{balanced.rest}/v1/inference/tumor", json=image, timeout=60).json()["existing"] is True


def test_an_instance_that_dies_loses_nothing(balanced: Balanced) -> None:
    for number in range(6):
        write_case(balanced.volume / f"kept_{number}", seed=number, shape=(16, 32, 32))
    with Client(balanced.grpc, timeout_s=120) as client:
        jobs = [client.submit("tumor", image_path=f"cases:kept_{number}/A.nii.gz") for number in range(6)]
        process, children = balanced.first.process, balanced.first.children()
        assert process is not None
        for child in (process.pid, *children.values()):
            with suppress(ProcessLookupError):  # it has seen that its supervisor is gone
                os.kill(child, signal.SIGKILL)
        wait_until(lambda: all(client.job(job.id).state == "done" for job in jobs), timeout_s=240)
    masks = [balanced.volume / f"kept_{number}" / "mask" / "tumor_A.nii.gz" for number in range(6)]
    assert all(mask.exists() for mask in masks)
    for _ in range(6):  # whichever of the two is asked first
        assert httpx.get(f"{balanced.rest}/healthz", timeout=60).status_code == 200
