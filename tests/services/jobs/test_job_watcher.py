"""Following jobs: one question for all who follow, whatever the queue and the followers do."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

import pytest

from core.errors import RequestCode, RequestRefused, RetryLater
from services.jobs import job_watcher
from services.jobs.job import Job
from services.jobs.job_watcher import Follower, JobWatcher


class StandIn:
    """A queue whose jobs a test sets."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.is_away = False
        self.is_broken = False
        self.asked: list[set[str]] = []

    def read(self, jobs: Collection[str]) -> dict[str, Job]:
        """Answer as a real queue does."""
        self.asked.append(set(jobs))
        if self.is_broken:
            raise KeyError("a fault of the program")
        if self.is_away:
            raise RetryLater("away")
        return {job: self.jobs[job] for job in jobs if job in self.jobs}

    def set(self, job: str, progress: float) -> None:
        """Have a job be so far."""
        self.jobs[job] = Job(id=job, state="done" if progress == 1 else "running", progress=progress)

    async def is_asked(self, times: int) -> None:
        """Wait until it was asked so often from now on."""
        wanted = len(self.asked) + times
        while len(self.asked) < wanted:
            await asyncio.sleep(0.001)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setattr(job_watcher, "POLL_S", 0.001)
    monkeypatch.setattr(job_watcher, "AWAY_S", 0.001)
    queue = StandIn()
    queue.set("one", 0.5)
    return queue


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run what a test does, for a minute at most."""

    async def within_a_minute() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(within_a_minute())


def test_a_queue_that_is_away_is_waited_for(queue: StandIn) -> None:
    async def test() -> None:
        jobs = JobWatcher(queue.read).follow(Follower("one"), 60)
        assert (await anext(jobs)).progress == 0.5
        queue.is_away = True
        await queue.is_asked(3)
        queue.set("one", 1.0)
        queue.is_away = False
        assert [job.state async for job in jobs] == ["done"]

    run(test)


def test_a_job_that_vanished_ends_the_stream(queue: StandIn) -> None:
    async def test() -> None:
        jobs = JobWatcher(queue.read).follow(Follower("one"), 60)
        await anext(jobs)
        queue.jobs.clear()
        with pytest.raises(RequestRefused) as caught:
            await anext(jobs)
        assert caught.value.code is RequestCode.UNKNOWN_JOB

    run(test)


def test_a_slow_reader_gets_only_the_latest_state(queue: StandIn) -> None:
    async def test() -> None:
        jobs = JobWatcher(queue.read).follow(Follower("one"), 60)
        await anext(jobs)
        for step in range(20):
            queue.set("one", 0.5 + step / 100)
            await queue.is_asked(2)  # the answer to the first may have been on its way already
        assert (await anext(jobs)).progress == pytest.approx(0.69)
        await jobs.aclose()

    run(test)


def test_all_followers_are_one_question(queue: StandIn) -> None:
    async def test() -> None:
        queue.set("two", 0.5)
        whole = JobWatcher(queue.read)
        first, second = (whole.follow(Follower(job), 60) for job in ("one", "two"))
        await asyncio.gather(anext(first), anext(second))
        await queue.is_asked(2)
        assert queue.asked[-1] == {"one", "two"}
        await first.aclose()
        await queue.is_asked(2)
        assert queue.asked[-1] == {"two"}
        await second.aclose()

    run(test)


def test_patience_ends(queue: StandIn) -> None:
    async def test() -> None:
        jobs = JobWatcher(queue.read).follow(Follower("one"), 0.05)
        with pytest.raises(RequestRefused) as caught:
            async for _ in jobs:
                pass
        assert caught.value.code is RequestCode.DEADLINE_EXCEEDED

    run(test)


def test_silence_is_broken_at_every_beat(queue: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_watcher, "BEAT_S", 0.01)

    async def test() -> None:
        jobs = JobWatcher(queue.read).follow(Follower("one"), 60)
        assert [(await anext(jobs)).progress for _ in range(3)] == [0.5] * 3
        await jobs.aclose()

    run(test)


def test_a_service_that_stops_sends_followers_away(queue: StandIn) -> None:
    async def test() -> None:
        whole = JobWatcher(queue.read)
        jobs = whole.follow(Follower("one"), 60)
        await anext(jobs)
        whole.stop()
        with pytest.raises(RetryLater):
            await anext(jobs)
        with pytest.raises(RetryLater):  # one that comes later, too
            await anext(whole.follow(Follower("one"), 60))

    run(test)


def test_a_fault_of_the_program_ends_the_wait(queue: StandIn) -> None:
    async def test() -> None:
        jobs = JobWatcher(queue.read).follow(Follower("one"), 60)
        await anext(jobs)
        queue.is_broken = True
        with pytest.raises(KeyError):
            await anext(jobs)

    run(test)
