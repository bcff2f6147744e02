"""Brings what a run made to the destinations, and has them confirm it where ``node.yaml`` asks for that.

The state of each destination lies in ``deliveries/<name>.json`` of the revision. Its ``state`` is::

    waiting ──▶ delivered                 it named every object as stored, or has it as it said when it was asked
       ▲   └──▶ committing ──▶ committed  the peer confirmed each of them
       └────────────┘                     the peer does not keep some: these are sent again
    refused, failed                        the end: see ``reason``; it has none of the objects
    partial                                the end: it has some of them, and ``reason`` names the missing ones
    unconfirmed                            the end: it left open whether it has an object, and cannot be asked
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydicom import dcmread

from app.settings.destination import Commitment, DicomDestination, Retry, WebDestination
from app.settings.node import NodeSettings
from app.workflow.send import ask_whether_held, send_file, storage_scp
from core.backoff import Backoff
from core.errors import ConfigInvalid, NotReached, RetryLater, Superseded
from core.event_log import EventLog
from core.result_forms import form_of
from dicom_io.audit.trail import Party, Transfer
from dicom_io.commitment.request import ask_for_commitment
from dicom_io.commitment.transactions import Transactions
from dicom_io.delivery.answer import Answer, Held, Said
from dicom_io.spool.claims import Claim
from dicom_io.spool.records import PARTIAL, UNCONFIRMED, Delivery
from dicom_io.spool.revision import Revision

MAX_ROUNDS = 3
"""Number of times that objects are sent which the peer accepts and then does not keep."""

LOOKS = 3
"""Number of questions for an object that a destination does not have before it is sent again; some index late."""

_FIRST_LOOK_S, _LONGEST_LOOK_S = 1.0, 60.0

_NOT_FOUND = "; asked for the object, it does not have it"

_log = EventLog()


_EVENTS = {"waiting": "delivery_postponed", "committing": "delivery_handed_over"}
"""Log events of deliveries under way; those that have ended are logged by their state."""


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
            If somebody else does this delivery, or nobody is to do it any more.
        """
        with claim.held() as revision:
            delivery = revision.read_delivery(destination)
        if delivery is None:
            raise Superseded(f"{claim.revision.key} rev {claim.revision.number}: this delivery is gone")
        if delivery.state == "waiting":
            delivery = self._send(claim, destination, delivery)
        if delivery.state == "committing":
            delivery = self._commit(claim, destination, delivery)
        if delivery.state == "waiting":
            tries = delivery.asked if _is_asked_about(delivery) else max(delivery.attempts - 1, 0)
            return "waiting", self._retry(destination).wait_s(tries)
        return delivery.state, _look_wait_s(delivery)

    def _send(self, claim: Claim, destination: str, delivery: Delivery) -> Delivery:
        try:
            delivery = self._send_all(claim, destination, delivery)
        except (RetryLater, ConfigInvalid) as error:  # what is wrong with a certificate's file is corrected by a person
            delivery = claim.revision.read_delivery(destination) or delivery
            # What may have been stored all the same is asked for first, in the next turn.
            given_up = self._is_over(destination, delivery) and not _in_doubt(delivery)
            delivery = replace(delivery, state="failed" if given_up else "waiting", reason=str(error))
        delivery = _as_a_set(delivery)
        claim.write_delivery(delivery)
        self._say(destination, delivery)
        return delivery

    def _send_all(self, claim: Claim, destination: str, delivery: Delivery) -> Delivery:
        """Ask about what was left open, send what is missing, and say what has come of all of it."""
        settings = self._settings.destinations.get(destination)
        if settings is None:
            return replace(delivery, state="failed", reason="the destination is no longer in node.yaml")
        asked, attempts = delivery.asked, delivery.attempts + 1
        if not delivery.attempts:
            delivery = replace(delivery, tried_since=time.time())
        # After the last try, what is in doubt is asked for once more; nothing is sent any more.
        gives_up, reason = bool(_in_doubt(delivery)) and self._is_over(destination, delivery), delivery.reason
        cannot_be_asked: set[str] = set()
        refusals: dict[str, str] = {}
        for name in delivery.files:
            if name in delivery.sent:
                continue
            claim.confirm()
            if name in delivery.unsure:
                question = _Question(claim.revision.results / name, name, asked, is_first=attempts == 1)
                left_open = delivery
                delivery, then = self._ask_about(settings, delivery, question)
                if then == "send" and gives_up:
                    delivery = left_open  # so that a person's retry asks again
                claim.write_delivery(delivery)
                cannot_be_asked |= {name} if then == "give up" else set()
                if then != "send":
                    continue
            if gives_up:
                continue
            delivery = self._send_one(claim, destination, settings, replace(delivery, attempts=attempts), name)
            if delivery.state == "refused":
                # One object of a set says nothing of the others: a destination may lack its class alone.
                refusals[name] = delivery.reason
                delivery = replace(delivery, state="waiting")
        missing = set(delivery.files) - set(delivery.sent)
        if refusals and (missing <= refusals.keys() | cannot_be_asked or self._is_over(destination, delivery)):
            return replace(delivery, state="refused", reason="; ".join(dict.fromkeys(refusals.values())))
        if not missing:
            state = "delivered" if self._commitment(destination) is None else "committing"
            return replace(delivery, state=state, tried_since=time.time() if state == "committing" else None)
        if missing <= cannot_be_asked:
            return replace(delivery, state=UNCONFIRMED)
        if gives_up:
            return replace(delivery, state="failed", reason=reason)
        if not missing & delivery.unsure.keys() and self._is_over(destination, delivery):
            return replace(delivery, state="failed")
        return delivery

    def _send_one(
        self,
        claim: Claim,
        destination: str,
        settings: DicomDestination | WebDestination,
        delivery: Delivery,
        name: str,
    ) -> Delivery:
        """Send one object, and note what the answer proves; raise `RetryLater` for a passing failure."""
        brought_before = name in delivery.reached
        takes_duplicate = brought_before or self._commitment(destination) is not None
        unreached = delivery
        # Before it leaves: the answer may be lost, with it or with this process.
        delivery = _reached(delivery, name)
        claim.write_delivery(delivery)
        try:
            answer = self._send_audited(claim, destination, settings, name, takes_duplicate=takes_duplicate)
        except (NotReached, ConfigInvalid):
            claim.write_delivery(unreached)  # nothing left, so "I have it already" says nothing of this node's try
            raise
        if answer.said is Said.STORED or (answer.said is Said.HAS_IT and takes_duplicate):
            delivery = _arrived(delivery, name, answer.reason)
        elif answer.said in (Said.UNNAMED, Said.HAS_IT, Said.DOUBTFUL):
            delivery = replace(delivery, unsure={**delivery.unsure, name: answer.said}, asked=0, reason=answer.reason)
        if answer.said in (Said.HAS_IT, Said.LATER, Said.REFUSED) and not brought_before:
            delivery = replace(delivery, reached=tuple(one for one in delivery.reached if one != name))
        if answer.said is Said.REFUSED:
            return replace(delivery, state="refused", reason=answer.reason)
        claim.write_delivery(delivery)
        if answer.said in (Said.LATER, Said.DOUBTFUL):
            raise RetryLater(answer.reason)
        return delivery

    def _ask_about(
        self, settings: DicomDestination | WebDestination, delivery: Delivery, question: "_Question"
    ) -> tuple[Delivery, Literal["wait", "send", "give up"]]:
        """Ask whether the destination has an object that it left open, and say what to do with it then."""
        name = question.name
        without = replace(delivery, unsure={key: said for key, said in delivery.unsure.items() if key != name})
        # A failure is tried again in any case, and so is what a person wants tried again.
        sends_anyway = question.is_first or delivery.unsure[name] == Said.DOUBTFUL
        try:
            held = ask_whether_held(question.path, settings, self._settings.ae_title)
        except (RetryLater, ConfigInvalid) as error:
            if delivery.unsure[name] == Said.DOUBTFUL:
                return without, "send"
            gives_up = settings.retry.is_last(question.asked, _elapsed_s(delivery))
            reason = f"it could not be asked whether it has the object: {error}"
            return replace(delivery, asked=question.asked + 1, reason=reason), "give up" if gives_up else "wait"
        if held is Held.YES:
            me, peer = self._parties(settings)
            self._audit.transferred(me, peer, self._transfer([question.path]))
            return _arrived(delivery, name, "the destination has the object, as it said when it was asked"), "wait"
        if sends_anyway:
            return without, "send"
        if held is Held.CANNOT_BE_ASKED:
            return delivery, "give up"
        reason = f"{delivery.reason.removesuffix(_NOT_FOUND)}{_NOT_FOUND}"
        is_over = question.asked + 1 >= LOOKS
        asked = replace(without if is_over else delivery, asked=question.asked + 1, reason=reason)
        return asked, "wait"

    def _parties(self, settings: DicomDestination | WebDestination) -> tuple[Party, Party]:
        """Return this node and a destination, as the audit trail names them."""
        if isinstance(settings, WebDestination):
            peer = Party(settings.url, urlsplit(settings.url).hostname or "")
        else:
            peer = Party(settings.ae_title, settings.host)
        return Party(self._settings.ae_title), peer

    def _transfer(self, paths: Sequence[Path]) -> Transfer:
        return _transfer(paths) if self._audit.is_on else Transfer("")

    def _send_audited(
        self,
        claim: Claim,
        destination: str,
        settings: DicomDestination | WebDestination,
        name: str,
        *,
        takes_duplicate: bool,
    ) -> Answer:
        path = claim.revision.results / name
        (me, peer), transfer = self._parties(settings), self._transfer([path])
        answer: Answer | None = None
        self._audit.begins(me, peer, transfer)
        try:
            answer = send_file(path, settings, self._settings.ae_title, claim.may_go_on)
        finally:
            complete = answer is not None and (answer.accepted or (answer.said is Said.HAS_IT and takes_duplicate))
            comment = answer.comment if answer is not None else ""
            self._audit.transferred(me, peer, transfer, complete=complete, comment=comment)
        self._say_commented(destination, answer)
        return answer

    def _say_commented(self, destination: str, answer: Answer) -> None:
        """Log that the peer added words of its own; they may name a patient, so they stand in the audit trail alone."""
        if answer.comment:
            kept = "in the audit trail" if self._audit.is_on else "nowhere, as there is no audit trail"
            _log.warning("destination_commented", destination=destination, kept=kept)

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
            self._say(destination, delivery)
        return delivery

    def _ask(self, claim: Claim, destination: str, settings: DicomDestination, delivery: Delivery) -> Delivery:
        objects = [_uids(claim.revision.results / name) for name in delivery.files]
        claim.confirm()
        transaction = self._transactions.open(objects)
        try:
            answer = ask_for_commitment(self._transactions, transaction, storage_scp(settings), self._settings.ae_title)
            if answer.comment:
                me, peer = self._parties(settings)
                transfer = self._transfer([claim.revision.results / name for name in delivery.files])
                self._audit.transferred(me, peer, transfer, complete=False, comment=answer.comment)
                self._say_commented(destination, answer)
            if answer.said is Said.LATER:
                raise RetryLater(answer.reason)
        except (RetryLater, ConfigInvalid) as error:
            self._transactions.close(transaction)
            looked = delivery.looked + 1
            given_up = self._retry(destination).is_last(looked, _elapsed_s(delivery))
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
        # A clock that jumps must not end a wait, and neither must one that was ended early: both have to be over.
        waited = delivery.waited_s + _look_wait_s(delivery)
        delivery = replace(delivery, looked=delivery.looked + 1, waited_s=waited)
        elapsed = _elapsed_s(delivery)
        is_soon = elapsed is not None and 0.0 <= elapsed <= commitment.deadline_seconds
        if is_soon or waited <= commitment.deadline_seconds:
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

    def _is_over(self, destination: str, delivery: Delivery) -> bool:
        """Return whether the last try to send was the last for which the destination has patience."""
        return self._retry(destination).is_last(delivery.attempts - 1, _elapsed_s(delivery))

    @staticmethod
    def _say(destination: str, delivery: Delivery) -> None:
        event = _EVENTS.get(delivery.state, f"delivery_{delivery.state}")
        _log.info(event, destination=destination, attempt=delivery.attempts, reason=delivery.reason or "none")


@dataclass(frozen=True)
class _Question:
    """A question whether a destination has an object.

    Attributes
    ----------
    path, name
        The object.
    asked
        How often it was asked before.
    is_first
        Whether nothing was sent in this run yet: a person has asked for it.
    """

    path: Path
    name: str
    asked: int
    is_first: bool


def _arrived(delivery: Delivery, name: str, reason: str) -> Delivery:
    unsure = {key: said for key, said in delivery.unsure.items() if key != name}
    return replace(delivery, sent=(*delivery.sent, name), unsure=unsure, reason=reason)


def _as_a_set(delivery: Delivery) -> Delivery:
    """Name what is missing where a delivery ended with some of its objects taken."""
    if delivery.state not in ("refused", "failed") or not delivery.sent or not delivery.missing:
        return delivery
    reason = f"{', '.join(delivery.missing)} missing: {delivery.reason}{_remedy_of(delivery.missing)}"
    return replace(delivery, state=PARTIAL, reason=reason)


def _remedy_of(names: Iterable[str]) -> str:
    """Name the setting by which a destination is sent no objects of a form that it does not take."""
    others = sorted({form for name in names if (form := form_of(name)) not in (None, "seg")})
    return f"; if it takes no such object, remove {', '.join(others)} from its outputs in node.yaml" if others else ""


def _reached(delivery: Delivery, name: str) -> Delivery:
    return delivery if name in delivery.reached else replace(delivery, reached=(*delivery.reached, name))


def _is_asked_about(delivery: Delivery) -> bool:
    # An older version sends what is left open, and leaves its note here.
    missing = set(delivery.files) - set(delivery.sent)
    return any(said != Said.DOUBTFUL for name, said in delivery.unsure.items() if name in missing)


def _in_doubt(delivery: Delivery) -> set[str]:
    """Return the missing files of which the destination said that storing them may have failed."""
    missing = set(delivery.files) - set(delivery.sent)
    return {name for name, said in delivery.unsure.items() if said == Said.DOUBTFUL and name in missing}


def _elapsed_s(delivery: Delivery) -> float | None:
    return None if delivery.tried_since is None else time.time() - delivery.tried_since


def _look_wait_s(delivery: Delivery) -> float:
    return Backoff(_FIRST_LOOK_S, _LONGEST_LOOK_S).wait_s(delivery.looked)


def _transfer(paths: Sequence[Path]) -> Transfer:
    """Return what the audit trail says of objects of one study."""
    tags = ["StudyInstanceUID", "PatientID", "PatientName", "SOPClassUID"]
    headers = [dcmread(path, specific_tags=list(tags), stop_before_pixels=True) for path in paths]
    uid, patient, name = (str(headers[0].get(tag) or "") for tag in tags[:3])
    return Transfer(uid, patient, name, Counter(str(header.get("SOPClassUID") or "") for header in headers))


def _uids(path: Path) -> tuple[str, str]:
    header = dcmread(path, specific_tags=["SOPClassUID", "SOPInstanceUID"], stop_before_pixels=True)
    return str(header.SOPClassUID), str(header.SOPInstanceUID)
