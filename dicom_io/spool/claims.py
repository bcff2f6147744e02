"""Claims: who may write what comes of a revision, so that a worker that wakes up late changes nothing.

A claim is a number in the revision's ``state.json``, or in the file of one of its deliveries, under the study's lock.
A worker that takes up work raises it, and one that writes what came of the work looks first, under the same lock,
whether it is still the number that it wrote: a later claim voids all earlier ones, whatever the clocks say. Only a
worker whose lease is confirmed may claim (`WorkerLease`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from core.errors import Superseded
from dicom_io.spool.records import Delivery, RecordedClaim, RevisionState
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool


class WorkerLease(Protocol):
    """The right to work at all: `runtime.worker_lease.WorkerLease`."""

    @property
    def executor(self) -> str:
        """Return the ID of the executor that has the right."""
        ...

    def confirm(self) -> None:
        """Return once it is certain that the right is ours at this moment."""
        ...

    def holds(self) -> bool:
        """Return whether nobody else can have got the right yet."""
        ...


@dataclass(frozen=True)
class Claim:
    """The right of one run of a step to write about a revision, or about one of its deliveries.

    Attributes
    ----------
    destination
        Whose delivery; None for the revision itself.
    number
        Larger than that of every claim before.
    """

    spool: Spool
    lease: WorkerLease
    revision: Revision
    destination: str | None
    number: int

    @contextmanager
    def held(self) -> Iterator[Revision]:
        """Hold the study's lock, in which nobody can take the claim, to write what came of the work.

        Raises
        ------
        Superseded
            If somebody has claimed the work since; nothing may be written.
        """
        with self.spool.changing(self.revision):
            if _number(_subject(self.revision, self.destination)) != self.number:
                raise Superseded(f"{self.revision.key} rev {self.revision.number}: this work has been taken over")
            yield self.revision

    def confirm(self) -> None:
        """Return if the work may reach others now: the lease is ours, and so is the claim.

        Raises
        ------
        Superseded
            If somebody has claimed the work since.
        """
        self.lease.confirm()
        with self.held():
            pass

    def may_go_on(self) -> bool:
        """Return whether work begun under a confirmed claim may go on; asks nobody, so each packet can call it."""
        return self.lease.holds()

    def write_delivery(self, delivery: Delivery) -> None:
        """Keep what the claim's destination has got.

        Raises
        ------
        Superseded
            If somebody has claimed the delivery since.
        """
        assert self.destination is not None  # noqa: S101 - a claim on a delivery names it
        with self.held() as revision:
            revision.write_delivery(self.destination, replace(delivery, claim=self._record()))

    @property
    def results(self) -> Path:
        """A folder for what this claim's run of the graph writes, until it is published: nobody else writes there."""
        return self.revision.path / f"results.{self.number}"

    def _record(self) -> RecordedClaim:
        return RecordedClaim(self.lease.executor, self.number)


def take(spool: Spool, lease: WorkerLease, revision: Revision, run: int, destination: str | None = None) -> Claim:
    """Claim a revision's work, or one of its deliveries; all earlier claims on it are void.

    Waits until the lease is confirmed, so a worker that is cut off takes nothing up.

    Parameters
    ----------
    run
        The run of the revision for which the work was queued.
    destination
        The delivery to claim; None for the revision itself.

    Raises
    ------
    Superseded
        If a later run has been asked for, or there is no such delivery (any more).
    """
    while True:
        lease.confirm()
        with spool.changing(revision):
            if not lease.holds():
                continue  # it took long to get the lock: somebody else may work here by now
            subject = _subject(revision, destination)
            if revision.read_state().run != run or subject is None:
                raise Superseded(f"{revision.key} rev {revision.number}: this work has been queued anew")
            claim = Claim(spool, lease, revision, destination, _number(subject) + 1)
            if destination is not None and isinstance(subject, Delivery):
                revision.write_delivery(destination, replace(subject, claim=claim._record()))
            else:
                revision.write_state(claim=claim._record())
            return claim


def _subject(revision: Revision, destination: str | None) -> RevisionState | Delivery | None:
    return revision.read_state() if destination is None else revision.read_delivery(destination)


def _number(subject: RevisionState | Delivery | None) -> int:
    return subject.claim.number if subject is not None and subject.claim is not None else 0
