"""A worker's process: ``python -m app.worker node.yaml SLOT``; holds the models and does the durable work.

Slots count from 1. Each has a name that is its own among all workers that share a database, a lock in the spool and a
lease in the database (`app.tenure`), so no two processes ever work under one name.
"""

import logging
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dbos import DBOS
from sqlalchemy.exc import DBAPIError

from app.child import ParentLink, run_child
from app.clock import ClockWatch, bring_forward
from app.completion import Completion
from app.durable_queue import launch_dbos
from app.intake import Intake, recover
from app.leases import Leases, reason_of
from app.logs import configure_logging
from app.overtime import TimedSegmenter
from app.reaper import Reaper
from app.segmenting import StudySegmenter
from app.settings import NodeSettings, load_settings
from app.tenure import Tenure, this_process
from app.workflow import STUDY_QUEUE, WORKFLOW_VERSION, StudyFlow, delivery_queue
from dicom_io.durable import locked
from dicom_io.spool.identity import spool_id
from dicom_io.spool.spool import Spool

LOOK_EVERY_S = 0.5
RECOVER_EVERY_S = 600.0
STUDIES_AT_ONCE = 1
"""Models serve one at a time, and none waits at a worker's door: another may be idle, and an urgent one overtakes."""

POLL_STUDIES_S = 0.3
DELIVERIES_AT_ONCE = 2


def work(settings: NodeSettings, make_segmenter: Callable[[NodeSettings], StudySegmenter], slot: int = 1) -> None:
    """Close, queue, segment and deliver studies until the node asks to stop.

    Parameters
    ----------
    settings
        The node's settings.
    make_segmenter
        Loads the models that the routes name.
    slot
        Which of the node's workers this is, counted from 1.

    Raises
    ------
    PackageInvalid
        If a model cannot be loaded.
    ConfigInvalid
        If the database belongs to another spool.
    """
    link = ParentLink()
    configure_logging("worker", settings.logs)
    take_slot(settings.workers, slot)
    spool = Spool(settings.spool)
    spool.prepare()
    executor = settings.executor_id(slot)
    # Two workers of one name would both recover the same work.
    with locked(settings.spool / f".{executor}.lock", on_wait=lambda: _say_that_another_works(executor)):
        leases = Leases(settings.database, settings.lease_seconds)
        tenure = Tenure(leases, executor, this_process(settings.spool, settings.executor, WORKFLOW_VERSION))
        segmenter = TimedSegmenter(make_segmenter(settings), link, settings.work.study_minutes * 60.0)
        flow = StudyFlow(settings, spool, segmenter, tenure)
        if not tenure.begin(spool_id(settings.spool), link.wait_for_stop):
            os._exit(0)
        _launch(settings, executor)
        Reaper(tenure).start()
        intake = Intake(spool, Completion(settings, spool), flow)
        link.say_ready()
        recovered, versions, clock = -math.inf, tenure.versions, ClockWatch()
        while not link.wait_for_stop(LOOK_EVERY_S):
            # One of all workers does it. Two at a time would be safe, and only cost each the other's work.
            if not tenure.is_first:
                continue
            try:
                if back := clock.set_back_by():
                    extra = {"seconds": round(back), "waiting": bring_forward(back)}
                    logging.getLogger("segnode").warning("clock_set_back", extra=extra)
                if time.monotonic() - recovered > RECOVER_EVERY_S or versions != tenure.versions:
                    versions = tenure.versions
                    recover(spool, flow)
                    recovered = time.monotonic()
                intake.look()
            except OSError as error:
                # A full disk passes; a worker that ended over it would count a death of the study it runs.
                logging.getLogger("segnode").error("spool_unusable", extra={"problem": error.strerror})
            except DBAPIError as error:
                logging.getLogger("segnode").error("database_unreachable", extra={"reason": reason_of(error)})
        # A network in mid-study cannot be interrupted; the study is recovered at the next start, or by another worker.
        tenure.give_up()
        os._exit(0)


def _say_that_another_works(executor: str) -> None:
    extra = {"executor": executor, "remedy": "end it, or name each machine by executor: in node.yaml"}
    logging.getLogger("segnode").warning("waiting_for_another_worker_to_end", extra=extra)


def take_slot(workers: Sequence[str | None], slot: int) -> None:
    """Have this process see its own device alone, and its share of the processor's cores; before torch is loaded."""
    device = workers[slot - 1]
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = "" if device == "cpu" else device
    if len(workers) > 1:
        cores = len(os.sched_getaffinity(0)) // len(workers)
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores)))


def _launch(settings: NodeSettings, executor: str) -> None:
    launch_dbos(settings.database, executor, WORKFLOW_VERSION, lease_seconds=settings.lease_seconds, logs=settings.logs)
    DBOS.register_queue(
        STUDY_QUEUE,
        worker_concurrency=STUDIES_AT_ONCE,
        polling_interval_sec=POLL_STUDIES_S,
        on_conflict="always_update",
    )
    for destination in settings.destinations:
        DBOS.register_queue(
            delivery_queue(destination), worker_concurrency=DELIVERIES_AT_ONCE, on_conflict="always_update"
        )


def load_segmenter(settings: NodeSettings) -> StudySegmenter:
    """The models that the routes name, verified, on the best device there is.

    Raises
    ------
    PackageInvalid
        If a model is missing, its hashes do not match, or its weights do not fit its network.
    """
    from app.segmenter import Segmenter
    from segmentation.package import default_models_path, find_package, load_package

    search_path = [settings.models] if settings.models is not None else default_models_path()
    names = sorted({name for route in settings.routes for name in route.models})
    segmenter = Segmenter({name: load_package(find_package(name, search_path)) for name in names}, "auto")
    segmenter.warm()
    return segmenter


def main() -> None:
    """Entry of the process."""
    configure_logging("worker")
    run_child(lambda: work(load_settings(Path(sys.argv[1])), load_segmenter, int(sys.argv[2])))


if __name__ == "__main__":
    main()
