"""The time of one piece of work: it stands still while the work waits for other work."""

import pytest

import runtime.watchdog
from runtime.watchdog import timed


class Line:
    """A line on which everything stays."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, what: bytes) -> None:
        self.said.append(what.decode().strip())


class Time:
    """A clock that goes on when it is told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(runtime.watchdog, "time", time)
    return time


def test_time_that_work_waits_is_not_its_own(time: Time) -> None:
    line = Line()
    with timed(line, "a", 0, 60.0) as clock:
        for worked, waited in ((10.0, 500.0), (5.0, 40.0)):
            time.now += worked
            with clock.stopped():
                time.now += waited
        time.now += 1.0
    assert line.said[::2] == ["busy a 0 60.000", "busy a 0 50.000", "busy a 0 45.000"]
    assert line.said[1::2] == ["done a 0"] * 3


def test_time_that_has_run_out_stays_out(time: Time) -> None:
    line = Line()
    with timed(line, "a", 0, 60.0) as clock:
        time.now += 61.0
        with clock.stopped():
            pass
    assert line.said[2] == "busy a 0 0.000"
