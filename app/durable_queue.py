"""DBOS in a worker's process, as every worker of this project wants it."""

import logging
import sys

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer

from app.leases import POSTGRES_CONNECTION
from app.logs import LogForm, make_formatter


def launch_dbos(database: str, executor: str, version: str, *, lease_seconds: float, logs: LogForm) -> None:
    """Begin to do durable work, what was left unfinished first.

    Parameters
    ----------
    database
        URL of the workflow database.
    executor
        Whose work this process goes on with.
    version
        Pinned version of the workflows; work of other versions is left alone.
    lease_seconds
        How long the executor may be silent.
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
