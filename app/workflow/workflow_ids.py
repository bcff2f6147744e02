"""The names of the durable work in the workflow database, and the order in which it is done."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from dbos import SetEnqueueOptions, SetWorkflowID

from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool

STUDY_QUEUE = "studies"

QUEUE_PRIORITIES = {"stat": 1, "routine": 2}
"""A revision's priority in DBOS: the smallest is the first, among those that wait in one queue."""

LIVE = ("PENDING", "ENQUEUED", "DELAYED")
"""States of a workflow that DBOS still has to do."""


class WorkItem(NamedTuple):
    """One run of the work on a revision, in the order in which all workflows take it as their first arguments.

    Attributes
    ----------
    key, incarnation
        The study, and which of its stays in the spool; empty for one of before there were incarnations.
    number, run
        The revision, and how often it was begun again.
    """

    key: str
    incarnation: str
    number: int
    run: int

    @classmethod
    def of(cls, spool: Spool, revision: Revision) -> "WorkItem":
        """Return the work that a revision waits for now."""
        return cls(revision.key, spool.incarnation(revision.key), revision.number, revision.read_state().run)

    def study_workflow(self, attempt: int) -> str:
        """ID of the workflow that tries it."""
        return workflow_id("study", *self, attempt)

    def delivery_workflow(self, destination: str, attempt: int) -> str:
        """ID of the workflow that tries to deliver what came of it."""
        return workflow_id("delivery", *self, destination, attempt)


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
    """Return the prefixes of the IDs of all workflows of a revision."""
    return [f"{workflow_id(kind, revision.key, incarnation, revision.number)}." for kind in ("study", "delivery")]


@contextmanager
def queueing(workflow: str, wait_s: float, priority: int) -> Iterator[None]:
    """Have what is queued in the block be called so, and wait so long."""
    with SetWorkflowID(workflow), SetEnqueueOptions(delay_seconds=wait_s or None, priority=priority):
        yield
