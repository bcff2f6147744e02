"""The queue of studies, as a worker sees it (`app.workflow.study_places`)."""

from typing import Protocol

from dbos import DBOS
from sqlalchemy.exc import SQLAlchemyError

from app.workflow import study_places
from app.workflow.workflow_ids import QUEUE_PRIORITIES, STUDY_QUEUE
from core.event_log import EventLog
from runtime.durable_queue import has_waiting, let_each_take
from runtime.lease_table import reason_of

POLL_S = 0.3

_log = EventLog()


class LiveWorkers(Protocol):
    """The workers of a node: `runtime.worker_lease.WorkerLease`."""

    @property
    def live(self) -> frozenset[str]:
        """Return the names of the workers that are alive, this one included."""
        ...


class StudyQueue:
    """The queue of studies.

    Parameters
    ----------
    workers
        Tells who else works.
    """

    def __init__(self, workers: LiveWorkers) -> None:
        self._workers = workers

    def register(self) -> None:
        """Have this process take work from the queue."""
        DBOS.register_queue(STUDY_QUEUE, worker_concurrency=1, polling_interval_sec=POLL_S, on_conflict="always_update")

    def settle(self) -> None:
        """Let a worker take two studies where it is the only one, else one: none waits at a door while others are idle.

        One worker of all does this, now and then.
        """
        let_each_take(STUDY_QUEUE, study_places.PLACES if len(self._workers.live) == 1 else 1)

    def is_urgent_waiting(self) -> bool:
        """Return whether an urgent study waits to be taken; a database that does not tell counts as no."""
        try:
            return has_waiting(STUDY_QUEUE, QUEUE_PRIORITIES["stat"])
        except SQLAlchemyError as error:
            _log.warning("queue_not_asked", reason=reason_of(error))
            return False
