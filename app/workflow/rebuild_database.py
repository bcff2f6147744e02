"""Makes the workflow database anew from the spool: for one that is lost, damaged, or of another day than the spool."""

import time
from dataclasses import dataclass
from pathlib import Path

from dbos import DBOS, DBOSClient
from sqlalchemy import make_url

from app.settings.node import NodeSettings
from app.workflow.database_client import database_client, explained_failure
from app.workflow.intake import recover
from app.workflow.study_flow import WORKFLOW_VERSION, StudyFlow
from app.workflow.workflow_ids import LIVE, QUEUE_PRIORITIES, STUDY_QUEUE, WorkItem, workflow_prefixes
from core.errors import ConfigInvalid
from dicom_io.spool.isolation import apart
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool
from runtime.lease_table import LeaseTable
from runtime.storage_id import spool_id


@dataclass(frozen=True)
class Rebuilt:
    """The result of `rebuild`.

    Attributes
    ----------
    begun_again
        Revisions that were closed and not at their end; a node that starts goes on with them.
    set_aside
        The SQLite file that was there before, under its new name.
    """

    begun_again: tuple[Revision, ...]
    set_aside: Path | None


def rebuild(settings: NodeSettings, spool: Spool) -> Rebuilt:
    """Make the database anew, and queue all work that the spool has and that is not at its end.

    Nothing is done twice: results and deliveries that the spool has are not made again.

    Raises
    ------
    ConfigInvalid
        If the database cannot be reached or written, belongs to another spool, or somebody works with it.
    OSError
        If the spool cannot be read or written.
    """
    set_aside = _set_aside(settings.database)
    with explained_failure():
        DBOS.migrate(settings.database)
        _check_that_nobody_works(settings)
    with database_client(settings.database) as client:
        queue = _Queue(client, spool)
        # What a database that stays knows of them may be of another day than the spool.
        for key in spool.study_keys():
            with apart(key):
                for revision in spool.unfinished(key):
                    queue.drop(revision)
        return Rebuilt(tuple(recover(spool, queue)), set_aside)


def _check_that_nobody_works(settings: NodeSettings) -> None:
    leases = LeaseTable(settings.database, settings.lease_seconds)
    try:
        leases.prepare(spool_id(settings.spool))
        live = [one.executor for one in leases.executors() if one.is_live]
    finally:
        leases.close()
    if live:
        raise ConfigInvalid(
            f"database: {', '.join(live)} work with it; stop their nodes first"
            f" (one that was killed counts for {settings.lease_seconds:.0f} s more)"
        )


def _set_aside(database: str) -> Path | None:
    url = make_url(database)
    if not url.drivername.startswith("sqlite") or not url.database:
        return None
    file = Path(url.database)
    suffix = time.strftime(".before-%Y%m%dT%H%M%SZ", time.gmtime())
    # What a process that died had not written into the file itself lies beside it, and belongs to it.
    for path in (file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm"), file):
        if path.exists():
            path.rename(path.with_name(path.name.replace(file.name, file.name + suffix, 1)))
    kept = file.with_name(file.name + suffix)
    return kept if kept.exists() else None


class _Queue:
    """The queue of studies as a process sees it that does no work itself: `app.workflow.intake.StudyWork`."""

    def __init__(self, client: DBOSClient, spool: Spool) -> None:
        self._client = client
        self._spool = spool

    def enqueue(self, revision: Revision) -> None:
        item = WorkItem.of(self._spool, revision)
        self._client.enqueue(
            {
                "queue_name": STUDY_QUEUE,
                "workflow_name": StudyFlow.process.__qualname__,
                "class_name": StudyFlow.__name__,
                "instance_name": "node",
                "workflow_id": item.study_workflow(0),
                "app_version": WORKFLOW_VERSION,
                "priority": QUEUE_PRIORITIES[revision.priority],
            },
            *item,
            0,
        )

    def is_under_way(self, revision: Revision) -> bool:
        return bool(self._live(revision))

    def drop(self, revision: Revision) -> None:
        for live in self._live(revision):
            self._client.cancel_workflow(live)

    def _live(self, revision: Revision) -> list[str]:
        prefixes = workflow_prefixes(revision, self._spool.incarnation(revision.key))
        found = self._client.list_workflows(
            workflow_id_prefix=prefixes, status=list(LIVE), load_input=False, load_output=False
        )
        return [workflow.workflow_id for workflow in found]
