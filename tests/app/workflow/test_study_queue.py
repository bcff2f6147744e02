"""The number of studies that a worker may have in hand, by who is alive."""

import pytest

from app.workflow import study_queue
from app.workflow.study_queue import StudyQueue


class Live:
    """Workers that are alive."""

    def __init__(self, *names: str) -> None:
        self.live = frozenset(names)


@pytest.mark.parametrize(("live", "number"), [(Live("ct-1"), 2), (Live("ct-1", "ct-2"), 1)])
def test_only_a_worker_that_is_alone_has_two_studies_in_hand(
    live: Live, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that waits at a worker's door while another is idle would be done later."""
    told: list[tuple[str, int]] = []
    monkeypatch.setattr(study_queue, "let_each_take", lambda queue, number: told.append((queue, number)))
    StudyQueue(live).settle()
    assert told == [("studies", number)]
