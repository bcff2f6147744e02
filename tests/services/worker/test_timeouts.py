"""A job that takes too long costs its worker, ends by that name, and holds up none that comes after it."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runtime.watchdog import Watchdog, timed
from segnode_client import Client
from services.jobs.job_files import JobFiles, is_job
from services.jobs.timeouts import JobTimeouts
from services.masks.mask_locks import Locks
from tests.support.node_process import wait_until
from tests.support.service_cases import ALIASES, make_models, write_case
from tests.support.service_process import ServiceProcess

JOB = "0123456789abcdef" * 2


def test_a_job_that_takes_too_long_ends_and_the_next_goes_on(tmp_path: Path) -> None:
    for case in ("held", "next"):
        write_case(tmp_path / "cases" / case)
    settings: dict[str, Any] = {"limits": {"job_minutes": 0.25}}
    models = make_models(tmp_path / "models")
    service = ServiceProcess(tmp_path / "service", tmp_path / "cases", models, ALIASES, **settings).start()
    try:
        worker, work = service.children()["worker"], tmp_path / "service" / "work"
        with (
            Locks(work / "locks").held(["cases:held/mask/tumor_A.nii.gz"]),
            Client(service.grpc, timeout_s=120) as client,
        ):
            job = client.submit("tumor", image_path="cases:held/A.nii.gz")
            after = client.submit("tumor", image_path="cases:next/A.nii.gz")
            wait_until((work / "progress" / job.id).exists)
            os.kill(worker, signal.SIGSTOP)  # it says no more that it waits
            wait_until(lambda: client.job(job.id).state == "failed")
            assert client.job(job.id).code == "job_too_long"
            wait_until(lambda: client.job(after.id).state == "done")
            assert list((work / "overtime").iterdir()) == []
            assert service.children()["worker"] != worker
    finally:
        service.stop()


def test_the_time_of_work_is_kept_from_outside() -> None:
    ended: list[tuple[str, int]] = []
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        keeping = Watchdog(process, ("job",), lambda key, number: ended.append((key, number)))

        class Line:
            def say(self, what: bytes) -> None:
                keeping.hear(what)

        for other in (b"something else\n", b"\n"):
            keeping.hear(other)
        with timed(Line(), "first", 0, 60.0):
            pass
        os.kill(process.pid, signal.SIGSTOP)  # even of a process that does nothing any more
        keeping.hear(b"busy second 0 0.1\n")
        assert process.wait(30) == -signal.SIGKILL
        wait_until(lambda: ended, 10)
        keeping.stop()
        keeping.hear(b"busy third 0 0.0\n")
    assert ended == [("second", 0)]


def test_timeout_is_noted_until_the_job_is_at_its_end(tmp_path: Path) -> None:
    timeouts = JobTimeouts(tmp_path)
    assert not timeouts.is_noted(JOB)
    timeouts.note(JOB)
    assert timeouts.is_noted(JOB)
    timeouts.forget(JOB)
    assert not timeouts.is_noted(JOB)


def test_a_disk_that_refuses_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "overtime").write_text("in the way")
    JobTimeouts(tmp_path).note(JOB)


@pytest.mark.parametrize("job", ["", ".", "..", "../0123", f"{JOB}/x", f"{JOB}\n", JOB.upper(), JOB[:-1], f"{JOB}-"])
def test_an_invalid_job_id_becomes_no_path(job: str, tmp_path: Path) -> None:
    assert not is_job(job)
    with pytest.raises(ValueError, match="not a valid job ID"):
        JobFiles(tmp_path).of(job)


def test_old_files_are_tidied_away(tmp_path: Path) -> None:
    files, other = JobFiles(tmp_path), JOB[::-1]
    for job in (JOB, other):
        files.of(job).touch()
    os.utime(files.of(JOB), (1000, 1000))
    files.tidy(2000)
    assert [path.name for path in tmp_path.iterdir()] == [other]
