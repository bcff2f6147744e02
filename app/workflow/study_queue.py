"""The queue of studies, as a worker sees it that has places for two (`app.workflow.study_places`)."""

from typing import Protocol

from dbos import DBOS
from sqlalchemy.exc import SQLAlchemyError

from app.workflow import study_places
from app.workflow.workflow_ids import QUEUE_PRIORITIES, STUDY_QUEUE
from core.event_log import EventLog
from runtime.durable_queue import executors_at, has_waiting, let_each_take
from runtime.lease_table import reason_of

POLL_S = 0.3

_log = EventLog()


class LiveWorkers(Protocol):
    """The workers of a node: `runtime.worker_lease.WorkerLease`."""

    @property
    def executor(self) -> str:
        """Return the name of this worker."""
        ...

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
        """Let each worker take two studies while none is idle, else one: nobody waits at the door of a busy one.

        One worker of all does this, now and then.
        """
        several = len(self._workers.live) > 1
        is_one_idle = several and self._workers.live - executors_at(STUDY_QUEUE)
        let_each_take(STUDY_QUEUE, 1 if is_one_idle else study_places.PLACES)

    def gives_way(self, is_urgent: bool, is_busy: bool) -> str:
        """Tell why a study that comes to its turn gives its place back; empty where it keeps it.

        Parameters
        ----------
        is_urgent
            Whether the study is.
        is_busy
            Whether the network of another study runs at this worker.
        """
        try:
            if not is_urgent and has_waiting(STUDY_QUEUE, QUEUE_PRIORITIES["stat"]):
                return "an urgent study needs the place"
            others = self._workers.live - {self._workers.executor} if is_busy else frozenset()
            return "another worker is idle" if others and others - executors_at(STUDY_QUEUE) else ""
        except SQLAlchemyError as error:
            _log.warning("queue_not_asked", reason=reason_of(error))
            return ""
