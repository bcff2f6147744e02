"""Callers of a whole service who repeat, hang up, come in crowds or find it stopped."""

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from segnode_client import Client, RequestRefused
from segnode_client.v1 import segmentation_pb2 as messages
from segnode_client.v1 import segmentation_pb2_grpc as stubs
from tests.support.node_process import wait_until
from tests.support.postgres import Postgres
from tests.support.service_cases import ALIASES, make_models, write_case
from tests.support.service_process import ServiceProcess

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
HELD = "cases:held/mask/tumor_A.nii.gz"
"""A mask that nobody finishes while a test holds it."""


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    volume = tmp_path_factory.mktemp("volume")
    write_case(volume / "held")
    write_case(volume / "small")
    return volume


@pytest.fixture(scope="module")
def service(volume: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("service")
    service = ServiceProcess(folder, volume, make_models(folder / "models"), ALIASES, lease_seconds=2).start()
    yield service
    assert service.stop() == 0


@pytest.fixture
def client(service: ServiceProcess) -> Iterator[Client]:
    with Client(service.grpc, timeout_s=120) as client:
        yield client


@pytest.fixture
def busy(service: ServiceProcess, client: Client) -> Iterator[str]:
    """The worker's job until it is cancelled, or the test is over."""
    with service.held(HELD):
        job = client.submit("tumor", image_path="cases:held/A.nii.gz", force=True)
        wait_until(lambda: client.job(job.id).state == "running")
        yield job.id
        client.cancel(job.id)


def events_of(service: ServiceProcess, job: str, seen: list[dict[str, Any]]) -> None:
    """Keep the events of a job until they end."""
    with httpx.stream("GET", f"{service.rest}/v1/jobs/{job}/events", timeout=120) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line[6:]))


def test_a_call_that_comes_again_with_its_key_is_one_job(service: ServiceProcess, client: Client) -> None:
    content = {"task": "tumor", "image_path": "cases:small/A.nii.gz", "force": True}
    key = {"Idempotency-Key": str(uuid4())}
    jobs = f"{service.rest}/v1/jobs"
    first, second = (httpx.post(jobs, json=content, headers=key, timeout=60).json() for _ in range(2))
    assert first["id"] == second["id"]
    fields = {name: value for name, value in content.items() if name != "task"}
    again = client.submit("tumor", idempotency_key=key["Idempotency-Key"], **fields)
    assert again.id == first["id"]
    made = httpx.post(f"{service.rest}/v1/inference/tumor", json=fields, headers=key, timeout=120).json()
    wait_until(lambda: client.job(first["id"]).state == "done")
    assert made["timings_s"] == client.job(first["id"]).masks["tumor"].timings_s  # the very same work
    with pytest.raises(RequestRefused) as caught:
        client.submit("tumor", idempotency_key=key["Idempotency-Key"], image_path="cases:held/A.nii.gz")
    assert caught.value.code == "invalid_request"
    odd = httpx.post(jobs, json=content, headers={"Idempotency-Key": "again"}, timeout=60)
    assert (odd.status_code, odd.json()["code"]) == (422, "invalid_request")


def test_a_job_that_somebody_else_follows_goes_on_without_its_caller(
    service: ServiceProcess, client: Client, busy: str
) -> None:
    stream = client.run("ureter", image_D_path="cases:small/D.nii.gz", force=True)
    job, seen = next(stream).id, list[dict[str, Any]]()
    with ThreadPoolExecutor(1) as following:
        followed = following.submit(events_of, service, job, seen)
        wait_until(lambda: seen)
        stream.close()
        client.cancel(busy)
        followed.result(120)
    assert seen[-1]["state"] == "done"


@pytest.mark.usefixtures("busy")
def test_hanging_up_over_http_ends_the_work_and_the_call_can_be_repeated(
    service: ServiceProcess, client: Client
) -> None:
    key, fields = uuid4(), {"image_D_path": "cases:small/D.nii.gz", "force": True}
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(key)}

    def state() -> str:
        try:
            return client.job(key.hex).state
        except RequestRefused:
            return ""

    caller = HTTPConnection("127.0.0.1", service.rest_port)
    with closing(caller):
        caller.request("POST", "/v1/inference/ureter", json.dumps(fields), headers)
        wait_until(lambda: state() == "queued")
    wait_until(lambda: state() == "cancelled")
    again = client.submit("ureter", idempotency_key=str(key), **fields)
    assert (again.state, again.id) == ("queued", f"{key.hex}-2")
    client.cancel(again.id)


def test_callers_and_jobs_outlive_a_restart(volume: Path, tmp_path: Path) -> None:
    service = ServiceProcess(tmp_path, volume, make_models(tmp_path / "models"), ALIASES).start()
    seen: list[dict[str, Any]] = []
    with ExitStack() as stack:
        stack.callback(service.stop)
        stack.enter_context(service.held(HELD))
        client = stack.enter_context(Client(service.grpc, timeout_s=240, patience_s=120))
        channel = stack.enter_context(grpc.insecure_channel(service.grpc))
        crowd = stack.enter_context(ThreadPoolExecutor(2))
        held = client.submit("tumor", image_path="cases:held/A.nii.gz", force=True).id
        wait_until(lambda: client.job(held).state == "running")
        patient = crowd.submit(client.ureter, "cases:small/D.nii.gz", force=True)
        request = messages.TumorRequest(image_path="cases:small/A.nii.gz", force=True)
        hasty = stubs.SegmentationStub(channel).Tumor.future(request, timeout=240)
        followed = crowd.submit(events_of, service, held, seen)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=240)
        hear(watch, SERVING)
        wait_until(lambda: seen and jobs_of(service) == 3)
        service.stop()
        assert reason_of(hasty) == "retry_later"
        followed.result(60)
        assert seen[-1]["code"] == "retry_later"
        hear(watch, NOT_SERVING)
        service.start()
        assert client.cancel(held).state == "cancelled"  # it was neither lost nor cancelled before
        assert patient.result(240).path == "cases:small/mask/ureter_D.nii.gz"
        assert jobs_of(service) == 3


def jobs_of(service: ServiceProcess) -> int:
    """Return the number of jobs that ever existed."""
    with closing(sqlite3.connect(service.folder / "service.sqlite", timeout=60)) as database:
        return int(database.execute("SELECT count(*) FROM workflow_status").fetchone()[0])


def hear(watch: Iterator[Any], status: int) -> None:
    """Wait until a probe tells so."""
    assert any(answer.status == status for answer in watch)


def reason_of(call: Any) -> str:
    """Code that a failed call ends with."""
    info = ErrorInfo()
    assert rpc_status.from_call(call.exception(60)).details[0].Unpack(info)
    return str(info.reason)


def readiness(service: ServiceProcess) -> str:
    """Return the answer of ``/readyz``."""
    answer = httpx.get(f"{service.rest}/readyz", timeout=60)
    state = str(answer.json()["status"])
    assert answer.status_code == (200 if state == "ready" else 503)
    return state


def stopped(worker: int, service: ServiceProcess) -> bool:
    """Stop a worker, but not while it holds a lock of SQLite's, with which nobody else could read the queue."""
    os.kill(worker, signal.SIGSTOP)
    try:
        with closing(sqlite3.connect(service.folder / "service.sqlite", timeout=1, isolation_level=None)) as queue:
            queue.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        os.kill(worker, signal.SIGCONT)
        return False
    return True


def test_probes_tell_that_no_worker_lives(service: ServiceProcess) -> None:
    wait_until(lambda: readiness(service) == "ready")
    worker = service.children()["worker"]
    request = health_pb2.HealthCheckRequest(service="segnode.v1.Segmentation")
    with grpc.insecure_channel(service.grpc) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        leaver, watch = (health.Watch(request, timeout=120) for _ in range(2))
        hear(leaver, SERVING)
        hear(watch, SERVING)
        leaver.cancel()
        wait_until(lambda: stopped(worker, service))
        try:
            wait_until(lambda: readiness(service) == "no_worker")
            hear(watch, NOT_SERVING)
            assert health.Check(request, timeout=60).status == NOT_SERVING
        finally:
            os.kill(worker, signal.SIGCONT)
        hear(watch, SERVING)
        watch.cancel()
        with pytest.raises(grpc.RpcError) as caught:
            health.Check(health_pb2.HealthCheckRequest(service="other"), timeout=60)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_one_connection_holds_the_stated_number_of_calls(service: ServiceProcess) -> None:
    with grpc.insecure_channel(service.grpc) as channel:
        health, request = health_pb2_grpc.HealthStub(channel), health_pb2.HealthCheckRequest()
        calls = [health.Watch(request) for _ in range(256)]
        for call in calls:
            next(call)
        with pytest.raises(grpc.RpcError) as caught:
            health.Check(request, timeout=1)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        calls.pop().cancel()
        assert health.Check(request, timeout=60).status in (SERVING, NOT_SERVING)
        for call in calls:
            call.cancel()


def test_a_message_is_a_few_paths(service: ServiceProcess) -> None:
    with grpc.insecure_channel(service.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        stubs.SegmentationStub(channel).Tumor(messages.TumorRequest(image_path="x" * (2 << 20)), timeout=60)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_database_that_is_away_is_waited_for(volume: Path, tmp_path: Path, postgres: Postgres) -> None:
    models = make_models(tmp_path / "models")
    service = ServiceProcess(tmp_path, volume, models, ALIASES, database=postgres.url, lease_seconds=3).start()
    seen: list[dict[str, Any]] = []
    with ExitStack() as stack:
        stack.callback(service.stop)
        stack.enter_context(service.held(HELD))
        client = stack.enter_context(Client(service.grpc, timeout_s=240, patience_s=120))
        following = stack.enter_context(ThreadPoolExecutor(1))
        job = client.submit("tumor", image_path="cases:held/A.nii.gz", force=True).id
        followed = following.submit(events_of, service, job, seen)
        wait_until(lambda: seen)
        postgres.stop()
        try:
            wait_until(lambda: readiness(service) == "database_unreachable")
            content = {"task": "tumor", "image_path": "cases:small/A.nii.gz"}
            answer = httpx.post(f"{service.rest}/v1/jobs", json=content, timeout=60)
            assert (answer.status_code, answer.json()["code"]) == (503, "retry_later")
            assert "Retry-After" in answer.headers
        finally:
            postgres.start()
        assert client.cancel(job).state == "cancelled"
        followed.result(120)
    assert seen[-1]["state"] == "cancelled"
