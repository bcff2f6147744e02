"""What the durable work is called in the workflow database, and in which order it is done."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

from dicom_io.spool.revision import Revision

STUDY_QUEUE = "studies"

QUEUE_PRIORITIES = {"stat": 1, "routine": 2}
"""What a revision's priority is to DBOS: the smallest is the first, among those that wait in one queue."""

LIVE = ("PENDING", "ENQUEUED", "DELAYED")
"""States of a workflow that DBOS still has to do."""

ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
KEPT_DAYS = 7.0
"""How long the database keeps work that is over, for a person who asks what happened; the spool has what came of it."""
FORGOTTEN_AT_ONCE = 200


def delivery_queue(destination: str) -> str:
    """Name of a destination's queue."""
    return f"deliver-{destination}"


def workflow_id(kind: str, key: str, incarnation: str, *counts: object) -> str:
    """ID of a workflow, which no other work ever has: a study that was deleted and comes again is a new incarnation.

    Parameters
    ----------
    kind
        ``study`` or ``delivery``.
    key, incarnation
        The study, and which of its stays in the spool; empty for one of before there were incarnations.
    counts
        Revision, run, for a delivery its destination, and the attempt.
    """
    return ".".join([kind, key, *([incarnation] if incarnation else []), *map(str, counts)])


def workflow_prefixes(revision: Revision, incarnation: str) -> list[str]:
    """How the IDs of all workflows of a revision begin."""
    return [f"{workflow_id(kind, revision.key, incarnation, revision.number)}." for kind in ("study", "delivery")]


@contextmanager
def queueing(workflow: str, wait_s: float, priority: int) -> Iterator[None]:
    """Have what is queued in the block be called so, and wait so long."""
    with SetWorkflowID(workflow), SetEnqueueOptions(delay_seconds=wait_s or None, priority=priority):
        yield


def forget_ended(older_than_s: float = KEPT_DAYS * 86400.0) -> int:
    """Delete the oldest workflows that are over, `FORGOTTEN_AT_ONCE` at most; how many.

    Parameters
    ----------
    older_than_s
        Age since they were queued.
    """
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - older_than_s))
    old = DBOS.list_workflows(
        status=list(ENDED), end_time=before, limit=FORGOTTEN_AT_ONCE, load_input=False, load_output=False
    )
    if old:
        DBOS.delete_workflows([one.workflow_id for one in old])
    return len(old)
