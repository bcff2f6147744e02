"""A worker's process: ``python -m app.node.worker node.yaml SLOT``; holds the models and does the durable work.

Slots count from 1. Each has a name that is its own among all workers that share a database, a lock in the spool and a
lease in the database (`runtime.worker_lease`), so no two processes ever work under one name.
"""

import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dbos import DBOS
from sqlalchemy.exc import SQLAlchemyError

from app.node.housekeeping import Housekeeping
from app.node.spool_access import prepared_spool
from app.node.status import write_model_warnings
from app.settings.node import NodeSettings, load_settings
from app.study_run import RunGraph
from app.workflow.completion import Completion
from app.workflow.destination_watch import DestinationWatch
from app.workflow.intake import Intake
from app.workflow.segment_step import SegmentStep
from app.workflow.study_flow import WORKFLOW_VERSION, StudyFlow
from app.workflow.study_places import StudyPlaces
from app.workflow.study_queue import StudyQueue
from app.workflow.study_timeout import study_time_limit
from app.workflow.workflow_ids import delivery_queue
from core.errors import RetryLater
from core.event_log import EventLog
from core.file_locks import locked
from runtime.attempts import Attempts
from runtime.child import ParentLink, run_child, watch_threads
from runtime.devices import take_slot
from runtime.durable_queue import launch_dbos
from runtime.lease_table import LeaseTable, reason_of
from runtime.logs import configure_logging
from runtime.storage_id import spool_id
from runtime.takeover import Takeover
from runtime.worker_lease import WorkerLease, end_process, this_process

LOOK_EVERY_S = 0.5
DELIVERIES_AT_ONCE = 2

_log = EventLog()


def work(settings: NodeSettings, load_models: Callable[[NodeSettings], RunGraph], slot: int = 1) -> None:
    """Close, queue, segment and deliver studies until the node asks to stop.

    Parameters
    ----------
    settings
        The node's settings.
    load_models
        Loads the models that the routes name, and gives what runs them.
    slot
        Which of the node's workers this is, counted from 1.

    Raises
    ------
    PackageInvalid
        If a model cannot be loaded.
    ConfigInvalid
        If the database belongs to another spool, or the spool cannot be written.
    RetryLater, OSError
        If the disk or the database fails for now.
    """
    attempts = Attempts()
    link = ParentLink(attempts.take_back)
    configure_logging("worker", settings.logs)
    take_slot(settings.workers, slot)
    watch_threads(_does_work, attempts.take_back)
    spool = prepared_spool(settings.spool)
    executor = settings.executor_id(slot)
    # Two workers of one name would both recover the same work.
    with locked(settings.spool / f".{executor}.lock", on_wait=lambda: _say_that_another_works(executor)):
        leases = LeaseTable(settings.database, settings.lease_seconds)
        holder = this_process(settings.spool, settings.executor, WORKFLOW_VERSION)
        lease = WorkerLease(leases, executor, holder, partial(_end_without_lease, attempts))
        time_limit = partial(study_time_limit, link, settings.work.study_minutes * 60.0)
        run_graph, tries = load_models(settings), settings.work.tries
        queue = StudyQueue(lease)
        places = StudyPlaces(queue.is_urgent_waiting)
        segment_step = SegmentStep(settings.spool, run_graph, time_limit, attempts, tries, places)
        flow = StudyFlow(settings, spool, segment_step, lease)
        if not lease.begin(spool_id(settings.spool), link.wait_for_stop):
            os._exit(0)
        try:
            _launch(settings, executor, queue)
        except SQLAlchemyError as error:
            raise RetryLater(f"database: {reason_of(error)}; it is tried again") from error
        Takeover(lease).start()
        DestinationWatch(settings, lease).start()
        housekeeping = Housekeeping(spool, Intake(spool, Completion(settings, spool), flow), flow, lease, queue)
        link.say_ready()
        while not link.wait_for_stop(LOOK_EVERY_S):
            # One of all workers does it. Two at a time would be safe, and only cost each the other's work.
            if lease.is_first:
                housekeeping.look()
        # A network in mid-study cannot be interrupted; the study is recovered at the next start, or by another worker.
        attempts.take_back()
        lease.give_up()
        os._exit(0)


def _end_without_lease(attempts: Attempts) -> None:
    attempts.take_back()
    end_process()


def _does_work(thread: threading.Thread | None) -> bool:
    # A peer that behaves oddly may end a thread of the library that talks to it, and nothing else.
    return not any(kind.__module__.startswith("pynetdicom") for kind in type(thread).__mro__)


def _say_that_another_works(executor: str) -> None:
    remedy = "end it, or name each machine by executor: in node.yaml"
    _log.warning("worker_delayed", executor=executor, remedy=remedy)


def _launch(settings: NodeSettings, executor: str, queue: StudyQueue) -> None:
    launch_dbos(settings.database, executor, WORKFLOW_VERSION, lease_seconds=settings.lease_seconds, logs=settings.logs)
    queue.register()
    for destination in settings.destinations:
        DBOS.register_queue(
            delivery_queue(destination), worker_concurrency=DELIVERIES_AT_ONCE, on_conflict="always_update"
        )


def load_models(settings: NodeSettings) -> RunGraph:
    """Load the models that the routes name, verified, on the best device there is, and give what runs them.

    Raises
    ------
    PackageInvalid
        If a model is missing, its hashes do not match, its weights do not fit its network, or a question about it is
        open.
    """
    from app.graph_runner import Segmenter
    from segmentation.package.open_decisions import require_decided
    from segmentation.package.package import load_package
    from segmentation.package.store import default_models_path, find_package

    search_path = [settings.models] if settings.models is not None else default_models_path()
    names = sorted({name for route in settings.routes for name in route.models})
    packages = {name: load_package(find_package(name, search_path)) for name in names}
    for package in packages.values():
        require_decided(package)
    segmenter = Segmenter(packages, "auto")
    write_model_warnings(settings.spool, segmenter.warnings)
    segmenter.warm()
    return segmenter.run


def main() -> None:
    """Entry of the process."""
    configure_logging("worker")
    run_child(lambda: work(load_settings(Path(sys.argv[1])), load_models, int(sys.argv[2])))


if __name__ == "__main__":
    main()
