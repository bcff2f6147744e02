"""DBOS in a worker's process, with the settings of every worker of this project."""

import logging
import sys
import time
from collections.abc import Sequence

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer

from runtime.lease_table import POSTGRES_CONNECTION
from runtime.logs import LogForm, make_formatter

ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
"""States of a workflow that has ended."""
FORGOTTEN_AT_ONCE = 200


def launch_dbos(database: str, executor: str, version: str, *, lease_seconds: float, logs: LogForm) -> None:
    """Begin durable work, unfinished workflows first.

    Parameters
    ----------
    database
        URL of the workflow database.
    executor
        Executor whose work this process resumes.
    version
        Pinned version of the workflows; work of other versions is ignored.
    lease_seconds
        Seconds after which a silent executor loses its lease.
    logs
        Form of the log.
    """
    logger = logging.getLogger("dbos")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(make_formatter("worker", logs))
    logger.handlers, logger.propagate = [handler], False
    config: DBOSConfig = {
        "name": "segnode",
        "system_database_url": database,
        "application_version": version,
        "executor_id": executor,
        "serializer": DBOSPortableJSONSerializer(),
        "log_level": "WARNING",
        "use_listen_notify": False,
    }
    if database.startswith("postgresql"):
        config["db_engine_kwargs"] = {"connect_args": dict(POSTGRES_CONNECTION)}
        # A process that is stopped in the middle of a transaction must not hold up those who take over its work.
        config["sys_db_idle_transaction_timeout_sec"] = lease_seconds
    DBOS(config=config)
    DBOS.launch()


def delayed_in(queue: str, at_most: int | None = None) -> list[str]:
    """Return the IDs of a queue's workflows that wait for their next try."""
    found = DBOS.list_workflows(status="DELAYED", queue_name=queue, limit=at_most, load_input=False, load_output=False)
    return [one.workflow_id for one in found]


def is_used(queue: str) -> bool:
    """Return whether a queue holds work that has not ended."""
    states = ["DELAYED", "ENQUEUED", "PENDING"]
    return bool(DBOS.list_workflows(status=states, queue_name=queue, limit=1, load_input=False, load_output=False))


def has_waiting(queue: str, priority: int) -> bool:
    """Return whether work of a priority, and of the version of this process, waits in a queue to be taken."""
    waiting = DBOS.list_workflows(
        status="ENQUEUED",
        queue_name=queue,
        app_version=DBOS.application_version,
        load_input=False,
        load_output=False,
    )
    return any(one.priority == priority for one in waiting)


def let_each_take(queue: str, number: int) -> None:
    """Let each executor have so much work of a queue in hand at once."""
    found = DBOS.retrieve_queue(queue)
    if found is not None and found.worker_concurrency != number:
        found.set_worker_concurrency(number)


def end_delays(workflows: Sequence[str]) -> None:
    """Have workflows that wait for their next try begin it now; one that waits no longer is left as it is."""
    for workflow in workflows:
        DBOS.set_workflow_delay(workflow, delay_until_epoch_ms=int(time.time() * 1000))


def forget_ended(older_than_days: float) -> int:
    """Delete the oldest ended workflows, at most `FORGOTTEN_AT_ONCE`, and return their number.

    Parameters
    ----------
    older_than_days
        Age since they were queued.
    """
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - older_than_days * 86400.0))
    old = DBOS.list_workflows(
        status=list(ENDED), end_time=before, limit=FORGOTTEN_AT_ONCE, load_input=False, load_output=False
    )
    if old:
        DBOS.delete_workflows([one.workflow_id for one in old])
    return len(old)
