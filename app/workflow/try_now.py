"""A person's request that a study which is being delivered is tried now, and not when its next try is due."""

import time

from dbos import DBOSClient, DBOSPortableJSONSerializer
from sqlalchemy.exc import SQLAlchemyError

from app.settings.node import NodeSettings
from app.workflow.workflow_ids import workflow_id
from core.errors import ConfigInvalid
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool


def try_deliveries_now(settings: NodeSettings, spool: Spool, revision: Revision) -> int:
    """End the waits of a revision's deliveries, from any process, and return how many waited.

    Raises
    ------
    ConfigInvalid
        If the database cannot be reached.
    """
    prefix = f"{workflow_id('delivery', revision.key, spool.incarnation(revision.key), revision.number)}."
    try:
        client = DBOSClient(
            system_database_url=settings.database,
            serializer=DBOSPortableJSONSerializer(),
            application_name="segnode",
            retry_connection_errors=False,
        )
        try:
            waiting = client.list_workflows(
                workflow_id_prefix=prefix, status="DELAYED", load_input=False, load_output=False
            )
            for workflow in waiting:
                client.set_workflow_delay(workflow.workflow_id, delay_until_epoch_ms=int(time.time() * 1000))
        finally:
            client.destroy()
    except SQLAlchemyError as error:
        # Its text has the address, and that may have a password.
        kind = type(error).__name__
        raise ConfigInvalid(f"database: cannot be reached or written ({kind}); correct it in node.yaml") from error
    return len(waiting)
