"""Calls that come again, and callers who hang up: one request is one job, on a real queue that nobody works at."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from dbos import run_dbos_database_migrations

from core.errors import RequestCode, RequestRefused, RetryLater
from services.jobs.job import finished
from services.jobs.job_queue import Jobs
from services.jobs.job_service import JobService, key_of
from services.jobs.requests import AnyRequest, TumorRequest
from services.settings import ServiceSettings

REQUEST = TumorRequest(image_path="cases:0001/A.nii.gz", force=True)
JOB = "0" * 32
OTHER = TumorRequest(image_path="cases:0002/A.nii.gz", force=True)


def settings_of(folder: Path, longest: int = 64) -> ServiceSettings:
    content = {
        "roots": {"cases": {"path": str(folder / "cases")}},
        "work": str(folder / "work"),
        "database": f"sqlite:///{folder / 'queue.sqlite'}",
        "grpc": {"port": 50051},
        "queue": {"longest": longest},
    }
    return ServiceSettings.model_validate(content)


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    settings = settings_of(tmp_path, longest=3)
    run_dbos_database_migrations(system_database_url=settings.database)
    jobs = Jobs(settings)
    yield jobs
    jobs.close()


@pytest.fixture
def key() -> UUID:
    return uuid4()


def state_of(jobs: Jobs, job: str) -> str:
    return jobs.get(job).state


def hold_cancelling(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Hold who cancels a job: the first event says that it was begun, the second lets it go on."""
    begun, may_go_on, cancel = threading.Event(), threading.Event(), jobs._client.cancel_workflow

    def slowly(workflow: str) -> None:
        begun.set()
        may_go_on.wait(30)
        cancel(workflow)

    monkeypatch.setattr(jobs._client, "cancel_workflow", slowly)
    return begun, may_go_on


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run what a test does, for a minute at most."""

    async def within_a_minute() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(within_a_minute())


def test_a_repeat_finds_its_job_though_the_queue_is_full(jobs: Jobs, key: UUID) -> None:
    first = jobs.submit(REQUEST, key)
    assert first.id == key.hex
    assert jobs.submit(REQUEST).id != first.id
    jobs.submit(REQUEST)
    assert jobs.submit(REQUEST, key).id == first.id
    with pytest.raises(RequestRefused) as caught:
        jobs.submit(REQUEST, uuid4())
    assert caught.value.code is RequestCode.QUEUE_FULL


def test_repeats_at_one_instant_are_one_job(jobs: Jobs, key: UUID) -> None:
    with ThreadPoolExecutor(4) as crowd:
        assert {job.id for job in crowd.map(lambda _: jobs.submit(REQUEST, key), range(8))} == {key.hex}


def test_a_key_that_comes_with_another_request_is_refused(jobs: Jobs, key: UUID) -> None:
    jobs.submit(REQUEST, key)
    with pytest.raises(RequestRefused) as caught:
        jobs.submit(OTHER, key)
    assert caught.value.code is RequestCode.INVALID_REQUEST


def test_a_key_is_a_uuid(key: UUID) -> None:
    assert key_of(str(key)) == key
    assert key_of("") is None
    with pytest.raises(RequestRefused) as caught:
        key_of("again")
    assert caught.value.code is RequestCode.INVALID_REQUEST


def test_job_that_ended_with_its_caller_begins_anew(jobs: Jobs, key: UUID) -> None:
    first = jobs.submit(REQUEST, key, "caller")
    jobs.leave(first.id, "caller")
    assert state_of(jobs, first.id) == "cancelled"
    again = jobs.submit(REQUEST, key, "caller-2")
    assert (again.state, again.id == first.id) == ("queued", False)
    assert jobs.submit(REQUEST, key).id == again.id


def test_job_cancelled_on_purpose_stays_cancelled(jobs: Jobs, key: UUID) -> None:
    job = jobs.submit(REQUEST, key, "caller")
    jobs.cancel(job.id)
    again = jobs.submit(REQUEST, key, "caller-2")
    assert (again.id, again.state) == (job.id, "cancelled")


def test_the_latest_caller_holds_the_job(jobs: Jobs, key: UUID) -> None:
    job = jobs.submit(REQUEST, key, "first").id
    jobs.submit(REQUEST, key, "second")
    jobs.leave(job, "first")
    assert state_of(jobs, job) == "queued"
    jobs.leave(job, "second", ["first"])  # who still waits for it here inherits it
    assert state_of(jobs, job) == "queued"
    jobs.leave(job, "first")
    assert state_of(jobs, job) == "cancelled"


def test_a_job_queued_without_waiting_has_no_holder(jobs: Jobs, key: UUID) -> None:
    job = jobs.submit(REQUEST, key, "caller").id
    jobs.submit(REQUEST, key)
    jobs.leave(job, "caller")
    assert state_of(jobs, job) == "queued"


def test_a_caller_that_hangs_up_leaves_no_queued_job_behind(
    jobs: Jobs, key: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_go_on, submit = threading.Event(), threading.Event(), jobs.submit

    def slowly(request: AnyRequest, key: UUID | None, holder: str | None) -> Any:
        begun.set()
        may_go_on.wait(30)
        return submit(request, key, holder)

    monkeypatch.setattr(jobs, "submit", slowly)

    async def test() -> None:
        job_service = JobService(jobs)
        call = asyncio.create_task(job_service.result(REQUEST, key))
        await asyncio.to_thread(begun.wait, 30)
        call.cancel()
        await asyncio.wait([call])
        may_go_on.set()
        await job_service.stop()
        assert state_of(jobs, key.hex) == "cancelled"

    run(test)


def test_hanging_up_ends_no_job_that_a_repeated_call_has_found(
    jobs: Jobs, key: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_go_on = hold_cancelling(jobs, monkeypatch)

    async def test() -> None:
        job_service = JobService(jobs)
        call = asyncio.create_task(job_service.result(REQUEST, key))
        while not job_service._following.of(key.hex):
            await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.to_thread(begun.wait, 30)
        again = asyncio.create_task(job_service.submit(REQUEST, key))
        await asyncio.wait([again], timeout=0.5)
        may_go_on.set()
        found = await again
        await job_service.stop()
        assert state_of(jobs, found.id) == "queued"

    run(test)


def test_a_call_while_another_instance_ends_the_job_runs_it_anew(
    jobs: Jobs, key: UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_go_on = hold_cancelling(jobs, monkeypatch)
    elsewhere = Jobs(settings_of(tmp_path, longest=3))

    async def test() -> None:
        first, second = JobService(jobs), JobService(elsewhere)
        call = asyncio.create_task(first.result(REQUEST, key))
        while not first._following.of(key.hex):
            await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.to_thread(begun.wait, 30)
        again = asyncio.create_task(second.result(REQUEST, key))
        while not second._following.of(key.hex):
            await asyncio.sleep(0.01)
        may_go_on.set()
        while not second._following.of(f"{key.hex}-2"):
            await asyncio.sleep(0.01)
        assert (state_of(jobs, key.hex), state_of(jobs, f"{key.hex}-2")) == ("cancelled", "queued")
        await second.cancel(f"{key.hex}-2")  # on purpose: it is not done a third time
        assert (await again).state == "cancelled"
        await first.stop()
        await second.stop()
        elsewhere.close()

    try:
        run(test)
    finally:
        elsewhere.close()


def test_a_follower_keeps_a_job_from_ending_with_its_caller(jobs: Jobs, key: UUID) -> None:
    async def test() -> None:
        job_service = JobService(jobs)
        call = asyncio.create_task(job_service.result(REQUEST, key))
        other = asyncio.create_task(job_service.result(REQUEST, key))
        while len(job_service._following.of(key.hex)) < 2:
            await asyncio.sleep(0.01)
        other.cancel()
        await asyncio.wait([other])
        await asyncio.gather(*job_service._leaving)
        assert state_of(jobs, key.hex) == "queued"
        await job_service.keep(key.hex)
        call.cancel()
        await asyncio.wait([call])
        await asyncio.gather(*job_service._leaving)
        assert state_of(jobs, key.hex) == "queued"

    run(test)


def test_a_service_that_stops_leaves_jobs_on_the_queue(jobs: Jobs, key: UUID) -> None:
    async def test() -> None:
        job_service = JobService(jobs)
        call = asyncio.create_task(job_service.result(REQUEST, key))
        while not job_service._following.of(key.hex):
            await asyncio.sleep(0.01)
        await job_service.stop()
        with pytest.raises(RetryLater):
            await call
        await asyncio.gather(*job_service._leaving)
        assert state_of(jobs, key.hex) == "queued"

    run(test)


def test_callers_retry_while_the_database_is_unreachable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    jobs = Jobs(settings_of(tmp_path / "not_there"))
    with caplog.at_level(logging.WARNING, "segnode"):
        for call in (lambda: jobs.submit(REQUEST), lambda: jobs.get(JOB), lambda: jobs.cancel(JOB)):
            with pytest.raises(RetryLater) as caught:
                call()
            assert str(tmp_path) not in str(caught.value)
    jobs.close()
    assert [record.message for record in caplog.records] == ["database_not_reached"]  # not once for each caller


def test_an_answer_of_another_version_is_a_failed_job() -> None:
    job = finished("1", {"masks": {"tumor": {"unknown": 1}}})
    assert (job.state, job.problem.code if job.problem else "") == ("failed", "internal_error")
