"""A worker's handling of one job, beside the work itself: its time limit, and its result if the disk fails."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.volume import Geometry
from runtime.attempts import Attempts
from services.images.limits import Limits
from services.images.shared_paths import Root, Roots
from services.jobs.progress import Progress
from services.masks.mask_locks import Locks
from services.worker.job_flow import ServiceFlow
from tests.support.node_process import wait_until
from tests.support.service_cases import write_image

JOB = "0123456789abcdef" * 2
REQUEST = {"task": "smooth", "mask_path": "cases:0001/mine.nii.gz", "strength": 1.0}


class Line:
    """To a supervisor that keeps what it hears."""

    def __init__(self) -> None:
        self.said: list[bytes] = []

    def say(self, what: bytes) -> None:
        """Say a line."""
        self.said.append(what.split()[0])


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def flow(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServiceFlow:
    """Of a worker without models, which work on a mask does not need, and without a queue."""
    monkeypatch.setattr("services.worker.job_flow.LOOK_EVERY_S", 1e9)
    monkeypatch.setattr("dbos.DBOSConfiguredInstance.__init__", lambda self, name: None)
    grid = Geometry((8, 8, 8), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3))
    mask = write_image(tmp_path / "cases" / "0001" / "mine.nii.gz", np.ones((8, 8, 8), np.uint8), grid)
    nothing: Any = None
    return ServiceFlow(
        Roots({"cases": Root(mask.parents[1])}), nothing, nothing, tmp_path / "work", Limits(), line, Attempts()
    )


def test_waiting_for_another_job_on_the_same_mask_takes_none_of_the_job_s_time(
    flow: ServiceFlow, line: Line, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(1) as other:
        with Locks(tmp_path / "work" / "locks").held(["cases:0001/mask/mine_smooth.nii.gz"]):
            job = other.submit(flow.answer, JOB, REQUEST)
            wait_until(lambda: job.done() or line.said.count(b"busy") > 3, every_s=0.02)
            assert not job.done()
        assert job.result(60)["masks"]["smooth"]["existing"] is False
    assert line.said == [b"busy", b"done"] * (len(line.said) // 2)


def test_how_far_a_job_is_is_known_until_its_end_is_on_the_queue(
    flow: ServiceFlow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.worker.job_flow.LOOK_EVERY_S", 0.0)
    monkeypatch.setattr("services.worker.job_flow.DBOS.get_workflow_status", lambda workflow: None)
    progress, after = Progress(tmp_path / "work"), JOB[::-1]
    flow.answer(JOB, REQUEST)
    assert progress.read(JOB) == 1.0
    flow.answer(after, REQUEST | {"force": True})
    assert [path.name for path in progress.folder.iterdir()] == [after]


def test_a_disk_of_the_worker_that_refuses_is_a_reason_to_come_again(
    flow: ServiceFlow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    problem = flow.answer(JOB, REQUEST)["problem"]
    assert (problem["code"], problem["retry"]) == ("retry_later", True)
    assert str(tmp_path) not in problem["message"]
