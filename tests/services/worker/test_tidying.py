"""The hourly work of one worker: old jobs leave the queue, and no failure of that ends the worker."""

from collections.abc import Callable

import pytest
from sqlalchemy.exc import OperationalError

import services.worker.__main__ as worker
from runtime.durable_queue import FORGOTTEN_AT_ONCE


class Flow:
    """Counts how often it tidied up."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem
        self.tidied = 0

    def tidy(self, before: float) -> None:
        """Do, or fail."""
        if self.problem is not None:
            raise self.problem
        self.tidied += 1


def deleting(*counts: int) -> Callable[[float], int]:
    left = list(counts)
    return lambda days: left.pop(0)


def test_all_old_jobs_leave_the_queue_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = Flow()
    monkeypatch.setattr(worker, "forget_ended", deleting(FORGOTTEN_AT_ONCE, FORGOTTEN_AT_ONCE, 3))
    worker.tidy(flow, 7.0)  # type: ignore[arg-type]
    assert flow.tidied == 1


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (OSError(28, "No space left on device"), "work_folder_failed"),
        (OperationalError("DELETE", {}, Exception("gone")), "database_not_reached"),
    ],
    ids=["disk", "database"],
)
def test_a_disk_or_database_that_fails_for_a_moment_ends_no_worker(
    problem: Exception, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "forget_ended", deleting(0))
    worker.tidy(Flow(problem), 7.0)  # type: ignore[arg-type]
    assert [record.message for record in caplog.records] == [said]
