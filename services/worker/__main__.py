"""A worker's process, ``python -m services.worker service.yaml SLOT``: it holds the models and runs the jobs.

It is a fresh interpreter, never a fork: neither CUDA nor gRPC survives one (ADR 13).
"""

import os
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Final

from dbos import DBOS
from sqlalchemy.exc import SQLAlchemyError

from core.event_log import EventLog
from core.file_locks import locked
from runtime.attempts import Attempts
from runtime.child import ParentLink, run_child, watch_threads
from runtime.devices import take_slot
from runtime.durable_queue import FORGOTTEN_AT_ONCE, forget_ended, launch_dbos
from runtime.lease_table import LeaseTable, reason_of
from runtime.logs import configure_logging
from runtime.storage_id import spool_id
from runtime.takeover import Takeover
from runtime.worker_lease import WorkerLease, end_process, this_process
from segmentation.inference.model_pool import ModelPool
from services.aliases import Aliases
from services.images.shared_paths import Roots
from services.jobs.job_queue import QUEUE, VERSION
from services.settings import ServiceSettings, load_service_settings
from services.worker.job_flow import ServiceFlow
from services.worker.task_models import Packages

POLL_S: Final = 0.2
"""Seconds between two polls of the queue; each costs a few queries, all day long."""
TIDY_EVERY_S: Final = 3600.0

_log: Final = EventLog()


def work(settings: ServiceSettings, slot: int) -> None:
    """Run jobs until the supervisor stops the worker.

    Parameters
    ----------
    settings
        The service's settings.
    slot
        Number of this worker, from 1.
    """
    attempts = Attempts()
    link = ParentLink(attempts.take_back)
    configure_logging("worker", settings.logs)
    take_slot(settings.workers, slot)
    watch_threads(lambda thread: True, attempts.take_back)
    settings.work.mkdir(parents=True, exist_ok=True)
    executor = f"{settings.executor}-{slot}"
    with locked(settings.work / f".{executor}.lock"):
        _keep_temporary_files(settings.work / f".{executor}.tmp")
        leases = LeaseTable(settings.database, settings.lease_seconds)
        holder = this_process(settings.work, settings.executor, VERSION)
        lease = WorkerLease(leases, executor, holder, partial(_end_without_lease, attempts))
        roots = Roots({name: root.root for name, root in settings.roots.items()})
        packages, networks = Packages(Aliases(settings)), ModelPool()
        networks.warm(packages.all())
        flow = ServiceFlow(roots, packages, networks, settings.work, settings.limits, link, attempts)
        if not lease.begin(spool_id(settings.work), link.wait_for_stop):
            os._exit(0)
        _launch(settings, executor)
        Takeover(lease).start()
        link.say_ready()
        while not link.wait_for_stop(TIDY_EVERY_S):
            if lease.is_first:
                tidy(flow, settings.queue.keep_days)
        # A network in mid-job cannot be interrupted; the job is done after the next start, or by another worker.
        attempts.take_back()
        lease.give_up()
        os._exit(0)


def _end_without_lease(attempts: Attempts) -> None:
    attempts.take_back()
    end_process()


def _keep_temporary_files(folder: Path) -> None:
    # A worker that is killed leaves what it was writing, a mask perhaps: its successor deletes that.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    tempfile.tempdir = str(folder)


def _launch(settings: ServiceSettings, executor: str) -> None:
    launch_dbos(settings.database, executor, VERSION, lease_seconds=settings.lease_seconds, logs=settings.logs)
    DBOS.register_queue(QUEUE, worker_concurrency=1, polling_interval_sec=POLL_S, on_conflict="always_update")


def tidy(flow: ServiceFlow, keep_days: float) -> None:
    """Delete the rest of jobs that ended a set number of days ago; errors of disk or database are logged."""
    try:
        while forget_ended(keep_days) == FORGOTTEN_AT_ONCE:
            pass
        flow.tidy(time.time() - keep_days * 86400.0)
    except OSError as error:
        # Both pass, and the job that runs has nothing to do with it.
        _log.error("work_folder_failed", problem=error.strerror)
    except SQLAlchemyError as error:
        _log.error("database_not_reached", reason=reason_of(error))


def main() -> None:
    """Run the process."""
    configure_logging("worker")
    run_child(lambda: work(load_service_settings(Path(sys.argv[1])), int(sys.argv[2])))


if __name__ == "__main__":
    main()
