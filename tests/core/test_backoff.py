"""Waits double, and stop growing."""

import pytest

from core.backoff import Backoff


@pytest.mark.parametrize(("attempt", "wait_s"), [(0, 2.0), (1, 4.0), (2, 8.0), (3, 10.0), (4, 10.0), (10_000, 10.0)])
def test_waits_double_up_to_the_longest(attempt: int, wait_s: float) -> None:
    assert Backoff(2.0, 10.0).wait_s(attempt) == wait_s


def test_no_wait_is_shorter_than_the_first() -> None:
    assert [Backoff(5.0, 1.0).wait_s(attempt) for attempt in range(3)] == [5.0] * 3
