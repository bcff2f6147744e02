"""A person's request that a study which is being delivered is tried now, and not when its next try is due."""

import time

from app.settings.node import NodeSettings
from app.workflow.database_client import database_client
from app.workflow.workflow_ids import workflow_id
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
    with database_client(settings.database) as client:
        waiting = client.list_workflows(
            workflow_id_prefix=prefix, status="DELAYED", load_input=False, load_output=False
        )
        for workflow in waiting:
            client.set_workflow_delay(workflow.workflow_id, delay_until_epoch_ms=int(time.time() * 1000))
    return len(waiting)
