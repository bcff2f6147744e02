"""Workers' deaths over one job end it; ordinary stops of the service, however many, do not."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from segnode_client import Client
from services.worker.job_flow import MAX_DEATHS
from tests.support.node_process import wait_until
from tests.support.service_cases import ALIASES, make_models, write_case
from tests.support.service_process import ServiceProcess

MASK = "cases:0001/mask/tumor_A.nii.gz"
STOPS = 5
"""One more than the queue's own count would forgive."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    write_case(tmp_path / "cases" / "0001")
    models = make_models(tmp_path / "models")
    service = ServiceProcess(tmp_path / "service", tmp_path / "cases", models, ALIASES, lease_seconds=2).start()
    yield service
    service.stop()


def wait_for_marks(service: ServiceProcess, job: str, count: int) -> None:
    folder = service.folder / "work" / "attempts"
    wait_until(lambda: len(list(folder.glob(f"{job}.*"))) == count)


def test_ordinary_stops_of_the_service_are_no_deaths(service: ServiceProcess) -> None:
    with service.held(MASK):
        with Client(service.grpc, timeout_s=120) as client:
            job = client.submit("tumor", image_path="cases:0001/A.nii.gz").id
        for _ in range(STOPS):
            wait_for_marks(service, job, 1)
            assert service.stop() == 0
            wait_for_marks(service, job, 0)
            service.start()
        wait_for_marks(service, job, 1)
    with Client(service.grpc, timeout_s=120) as client:
        wait_until(lambda: client.job(job).state in ("done", "failed"))
        assert (client.job(job).state, client.job(job).code) == ("done", "")


def test_job_ends_once_it_has_cost_too_many_workers(service: ServiceProcess) -> None:
    with service.held(MASK), Client(service.grpc, timeout_s=120) as client:
        job = client.submit("tumor", image_path="cases:0001/A.nii.gz").id
        for deaths in range(MAX_DEATHS):
            wait_for_marks(service, job, deaths + 1)
            os.kill(service.children()["worker"], signal.SIGKILL)
        wait_until(lambda: client.job(job).state == "failed")
        assert client.job(job).code == "worker_died"
        wait_for_marks(service, job, 0)
