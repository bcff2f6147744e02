"""The first of many events is due, and then one a period."""

from core.rate_limit import RateLimit


def test_one_event_a_period_is_due_and_knows_of_the_others() -> None:
    now = 0.0
    limit = RateLimit(10.0, lambda: now)
    assert [limit.due("a"), limit.due("a"), limit.due("b"), limit.due("a")] == [0, None, 0, None]
    now = 9.9
    assert limit.due("a") is None
    now = 10.0
    assert [limit.due("a"), limit.due("a")] == [3, None]


def test_events_that_are_over_are_forgotten() -> None:
    limit = RateLimit(10.0, lambda: 0.0)
    assert [limit.due(), limit.due()] == [0, None]
    limit.clear()
    assert limit.due() == 0


def test_kinds_that_a_peer_invents_cost_no_memory() -> None:
    limit = RateLimit(10.0, lambda: 0.0)
    for number in range(5000):
        assert limit.due(number) == 0
    assert len(limit._seen) <= 1000
