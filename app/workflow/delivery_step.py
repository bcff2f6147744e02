"""Brings what a run made to the destinations, and has them confirm it where ``node.yaml`` asks for that.

The state of each destination lies in ``deliveries/<name>.json`` of the revision. Its ``state`` is::

    waiting ──▶ delivered                 every object was accepted
       ▲   └──▶ committing ──▶ committed  the peer confirmed each of them
       └────────────┘                     the peer does not keep some: these are sent again
    refused, failed                        the end: see ``reason``
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from pydicom import dcmread

from app.settings.destination import Commitment, DicomDestination, Retry, WebDestination
from app.settings.node import NodeSettings
from app.workflow.outcome import make_delivery
from app.workflow.send import send_file, storage_scp
from core.errors import ConfigInvalid, RetryLater
from dicom_io.audit.trail import Party, Transfer
from dicom_io.commitment.request import ask_for_commitment
from dicom_io.commitment.transactions import Transactions
from dicom_io.delivery.store_scu import Answer
from dicom_io.spool.claims import Claim
from dicom_io.spool.records import ARRIVED, PENDING, WITHDRAWN, Delivery, State
from dicom_io.spool.revision import Revision

MAX_ROUNDS = 3
"""How often objects are sent that the peer accepts and then does not keep."""

_FIRST_LOOK_S, _LONGEST_LOOK_S = 1.0, 60.0

_log = logging.getLogger("segnode")


class DeliveryStep:
    """The deliveries of one node.

    Parameters
    ----------
    settings
        The node's settings.
    """

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._transactions = Transactions(settings.spool)
        self._audit = settings.audit_trail()

    def advance(self, claim: Claim, destination: str) -> tuple[str, float]:
        """Send what a destination has not got, or see whether it keeps what it got.

        Parameters
        ----------
        claim
            On this delivery: it is asked before each association, and before anything is written.

        Returns
        -------
        tuple
            The delivery's state after that, and seconds until the next try where one is needed.

        Raises
        ------
        Superseded
            If somebody else does this delivery.
        """
        with claim.held() as revision:
            delivery = revision.read_delivery(destination)
        if delivery is None:
            return "delivered", 0.0
        if delivery.state == "waiting":
            delivery = self._send(claim, destination, delivery)
        if delivery.state == "committing":
            delivery = self._commit(claim, destination, delivery)
        if delivery.state == "waiting":
            return "waiting", self._retry(destination).wait_s(delivery.attempts - 1)
        return delivery.state, _look_wait_s(delivery)

    def _send(self, claim: Claim, destination: str, delivery: Delivery) -> Delivery:
        delivery = replace(delivery, attempts=delivery.attempts + 1)
        try:
            delivery = self._send_all(claim, destination, delivery)
        except (RetryLater, ConfigInvalid) as error:  # what is wrong with a certificate's file is corrected by a person
            given_up = self._retry(destination).is_last(delivery.attempts - 1)
            sent = (claim.revision.read_delivery(destination) or delivery).sent
            state = "failed" if given_up else "waiting"
            delivery = replace(delivery, sent=sent, state=state, reason=str(error))
        claim.write_delivery(delivery)
        self._say(claim.revision, destination, delivery)
        return delivery

    def _send_all(self, claim: Claim, destination: str, delivery: Delivery) -> Delivery:
        settings = self._settings.destinations.get(destination)
        if settings is None:
            return replace(delivery, state="failed", reason="the destination is no longer in node.yaml")
        for name in delivery.files:
            if name in delivery.sent:
                continue
            claim.confirm()
            answer = self._send_audited(claim.revision.results / name, settings, claim.may_go_on)
            if not answer.accepted:
                return replace(delivery, state="refused", reason=answer.reason)
            delivery = replace(delivery, sent=(*delivery.sent, name), reason=answer.reason)
            claim.write_delivery(delivery)
        return replace(delivery, state="delivered" if self._commitment(destination) is None else "committing")

    def _send_audited(
        self, path: Path, settings: DicomDestination | WebDestination, may_go_on: Callable[[], bool]
    ) -> Answer:
        if not self._audit.is_on:
            return send_file(path, settings, self._settings.ae_title, may_go_on)
        if isinstance(settings, WebDestination):
            peer = Party(settings.url, urlsplit(settings.url).hostname or "")
        else:
            peer = Party(settings.ae_title, settings.host)
        me, transfer, complete = Party(self._settings.ae_title), _transfer(path), False
        self._audit.begins(me, peer, transfer)
        try:
            answer = send_file(path, settings, self._settings.ae_title, may_go_on)
            complete = answer.accepted
        finally:
            self._audit.transferred(me, peer, transfer, complete=complete)
        return answer

    def _commit(self, claim: Claim, destination: str, delivery: Delivery) -> Delivery:
        settings, commitment = self._settings.destinations.get(destination), self._commitment(destination)
        asked = delivery.transaction
        if not isinstance(settings, DicomDestination) or commitment is None:
            delivery = replace(delivery, state="delivered")  # nobody asks for it any more
        elif asked is None:
            delivery = self._ask(claim, destination, settings, delivery)
        else:
            delivery = self._look(claim.revision, commitment, delivery, asked)
        claim.write_delivery(delivery)
        # Only now: as long as the delivery names a transaction, whoever goes on with it waits for its report.
        if asked is not None and delivery.transaction != asked:
            self._transactions.close(asked)
        if delivery.state != "committing":
            self._say(claim.revision, destination, delivery)
        return delivery

    def _ask(self, claim: Claim, destination: str, settings: DicomDestination, delivery: Delivery) -> Delivery:
        objects = [_uids(claim.revision.results / name) for name in delivery.files]
        claim.confirm()
        transaction = self._transactions.open(objects)
        try:
            answer = ask_for_commitment(self._transactions, transaction, storage_scp(settings), self._settings.ae_title)
        except (RetryLater, ConfigInvalid) as error:
            self._transactions.close(transaction)
            looked = delivery.looked + 1
            given_up = self._retry(destination).is_last(looked)
            state = "failed" if given_up else "committing"
            return replace(delivery, looked=looked, state=state, reason=str(error))
        if not answer.accepted:
            self._transactions.close(transaction)
            return replace(delivery, state="failed", reason=answer.reason)
        asked_now = replace(delivery, transaction=transaction, looked=0, waited_s=0.0, reason="")
        if self._transactions.report(transaction) is None:
            return asked_now
        judged = self._judge(claim.revision, asked_now, transaction)
        self._transactions.close(transaction)
        return judged

    def _look(self, revision: Revision, commitment: Commitment, delivery: Delivery, transaction: str) -> Delivery:
        if self._transactions.report(transaction) is not None:
            return self._judge(revision, delivery, transaction)
        # Waits are added up, as a clock that jumps must not end one.
        waited = delivery.waited_s + _look_wait_s(delivery)
        delivery = replace(delivery, looked=delivery.looked + 1, waited_s=waited)
        if waited <= commitment.deadline_seconds:
            return delivery
        reason = f"the destination has not confirmed storage within {commitment.deadline_seconds:.0f} s"
        return replace(delivery.without_transaction(), state="failed", reason=reason)

    def _judge(self, revision: Revision, delivery: Delivery, transaction: str) -> Delivery:
        report = self._transactions.report(transaction)
        failed = dict(report.failed) if report is not None else {}
        delivery = replace(delivery.without_transaction(), rounds=delivery.rounds + 1)
        if not failed:
            return replace(delivery, state="committed", reason="")
        reasons = ", ".join(sorted({f"0x{reason:04X}" for reason in failed.values()}))
        reason = f"the destination does not keep {len(failed)} of {len(delivery.files)} objects ({reasons})"
        kept = tuple(name for name in delivery.sent if _uids(revision.results / name)[1] not in failed)
        state = "failed" if delivery.rounds >= MAX_ROUNDS else "waiting"
        return replace(delivery, state=state, sent=kept, reason=reason)

    def _commitment(self, destination: str) -> Commitment | None:
        settings = self._settings.destinations.get(destination)
        return settings.commitment if isinstance(settings, DicomDestination) else None

    def _retry(self, destination: str) -> Retry:
        settings = self._settings.destinations.get(destination)
        return settings.retry if settings is not None else Retry()

    @staticmethod
    def _say(revision: Revision, destination: str, delivery: Delivery) -> None:
        fields = {"study": revision.key, "revision": revision.number, "destination": destination}
        fields |= {"attempt": delivery.attempts - 1, "reason": delivery.reason or "none"}
        _log.info(f"delivery_{delivery.state}", extra=fields)


def begin_delivery(revision: Revision, destination: str, files: Sequence[str]) -> None:
    """Note what a destination is to get; a delivery that was withdrawn begins again, any other goes on as it is.

    Parameters
    ----------
    files
        Names below the results folder.
    """
    known = revision.read_delivery(destination)
    if known is None:
        revision.write_delivery(destination, make_delivery(files))
    elif known.state == WITHDRAWN:
        # What it accepted then is not sent again, but a report that was asked for then may never have been kept.
        sent = tuple(name for name in known.sent if name in files)
        again = known.without_transaction().begun_again()
        revision.write_delivery(destination, replace(again, files=tuple(files), sent=sent))


def end_of(revision: Revision) -> tuple[State, str, str] | None:
    """State, reason code and message that a revision ends with; None while a delivery is under way."""
    states = {name: delivery.state for name, delivery in revision.deliveries().items()}
    if PENDING & set(states.values()):
        return None
    known = revision.read_outcome()
    outcome = known.outcome if known is not None else None
    if outcome in ("refused", "failed"):
        return State(outcome), "", ""  # what was sent is the notice; the reason is noted already
    undelivered = sorted(name for name, state in states.items() if state not in (*ARRIVED, WITHDRAWN))
    if undelivered:
        return State.FAILED, "not_delivered", f"Not delivered to {', '.join(undelivered)}."
    if outcome == "nothing_found":
        return State.NOTHING_FOUND, "", ""
    return State.COMMITTED if "committed" in states.values() else State.DELIVERED, "", ""


def _look_wait_s(delivery: Delivery) -> float:
    return float(min(_FIRST_LOOK_S * 2.0 ** min(delivery.looked, 20), _LONGEST_LOOK_S))


def _transfer(path: Path) -> Transfer:
    tags = ["StudyInstanceUID", "PatientID", "PatientName", "SOPClassUID"]
    header = dcmread(path, specific_tags=list(tags), stop_before_pixels=True)
    uid, patient, name, sop_class = (str(header.get(tag) or "") for tag in tags)
    return Transfer(uid, patient, name, {sop_class: 1})


def _uids(path: Path) -> tuple[str, str]:
    header = dcmread(path, specific_tags=["SOPClassUID", "SOPInstanceUID"], stop_before_pixels=True)
    return str(header.SOPClassUID), str(header.SOPInstanceUID)
