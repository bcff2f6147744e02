"""The worker's process: ``python -m app.worker node.yaml``; holds the models and does the durable work."""

import logging
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer

from app.child import ParentLink, run_child
from app.intake import Intake, recover
from app.logs import configure_logging, make_formatter
from app.settings import NodeSettings, load_settings
from app.workflow import STUDY_QUEUE, WORKFLOW_VERSION, StudyFlow, StudySegmenter, delivery_queue
from dicom_io.durable import locked
from dicom_io.spool.spool import Spool

LOOK_EVERY_S = 0.5
RECOVER_EVERY_S = 600.0
STUDIES_AT_ONCE = 2
"""One that runs, and one at the door: models serve one at a time, and a queue is looked at only once a second."""

DELIVERIES_AT_ONCE = 2


def work(settings: NodeSettings, make_segmenter: Callable[[NodeSettings], StudySegmenter]) -> None:
    """Close, queue, segment and deliver studies until the node asks to stop.

    Parameters
    ----------
    settings
        The node's settings.
    make_segmenter
        Loads the models that the routes name.

    Raises
    ------
    PackageInvalid
        If a model cannot be loaded.
    """
    link = ParentLink()
    configure_logging("worker", settings.logs)
    spool = Spool(settings.spool)
    spool.prepare()
    # Two workers with one executor ID would both recover the same work.
    with locked(settings.spool / f".{settings.executor_id}.lock", on_wait=_say_that_another_works):
        flow = StudyFlow(settings, spool, make_segmenter(settings))
        _launch(settings)
        intake = Intake(spool, settings.quiet_seconds, flow)
        link.say_ready()
        recovered = -math.inf
        while not link.wait_for_stop(LOOK_EVERY_S):
            try:
                if time.monotonic() - recovered > RECOVER_EVERY_S:
                    recover(spool, flow)
                    recovered = time.monotonic()
                intake.look()
            except OSError as error:
                # A full disk passes; a worker that ended over it would count a death of the study it runs.
                logging.getLogger("segnode").error("spool_unusable", extra={"problem": error.strerror})
        # A network in mid-study cannot be interrupted; the study is recovered at the next start.
        os._exit(0)


def _say_that_another_works() -> None:
    logging.getLogger("segnode").warning("waiting_for_another_worker_to_end")


def _launch(settings: NodeSettings) -> None:
    logger = logging.getLogger("dbos")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(make_formatter("worker", settings.logs))
    logger.handlers, logger.propagate = [handler], False
    config: DBOSConfig = {
        "name": "segnode",
        "system_database_url": settings.database,
        "application_version": WORKFLOW_VERSION,
        "executor_id": settings.executor_id,
        "serializer": DBOSPortableJSONSerializer(),
        "log_level": "WARNING",
        "use_listen_notify": False,
    }
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue(STUDY_QUEUE, worker_concurrency=STUDIES_AT_ONCE, on_conflict="always_update")
    for destination in settings.destinations:
        DBOS.register_queue(
            delivery_queue(destination), worker_concurrency=DELIVERIES_AT_ONCE, on_conflict="always_update"
        )


def load_segmenter(settings: NodeSettings) -> StudySegmenter:
    """The models that the routes name, verified, on the best device there is.

    Raises
    ------
    PackageInvalid
        If a model is missing or its hashes do not match.
    """
    from app.segmenter import Segmenter
    from segmentation.package import default_models_path, find_package, load_package

    search_path = [settings.models] if settings.models is not None else default_models_path()
    names = sorted({name for route in settings.routes for name in route.models})
    return Segmenter({name: load_package(find_package(name, search_path)) for name in names}, "auto")


def main() -> None:
    """Entry of the process."""
    configure_logging("worker")
    run_child(lambda: work(load_settings(Path(sys.argv[1])), load_segmenter))


if __name__ == "__main__":
    main()
