"""Storage commitment: asking a peer whether it keeps what it was sent, and taking in its answer.

The answer may come on the association that asked, or hours later on another one, at whichever receiving process the
peer reaches. So what was asked lies in a table of files in the spool that all processes share:

::

    spool/commitments/<hash>.json           what was asked, by the transaction's UID
    spool/commitments/<hash>.report.json    what the peer answered

A transaction's UID is random: nobody can report on it who was not asked.

References
----------
PS3.4 annex J (Storage Commitment Service Class).
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.events import Event, EventHandlerType

from core.errors import RetryLater
from dicom_io.delivery.sender import Answer, Destination, associate, explain_no_association, requesting_ae
from dicom_io.durable import replace_file
from dicom_io.images.attributes import MALFORMED
from dicom_io.reception.received import is_uid, object_name

PUSH_MODEL = UID("1.2.840.10008.1.20.1")
PUSH_MODEL_INSTANCE = UID("1.2.840.10008.1.20.1.1")

REPORT_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
"""Without deflated, which pynetdicom proposes and takes by default: it inflates without bound."""

SAME_ASSOCIATION_S = 1.0
"""How long the association that asked stays open for the answer."""

FORGOTTEN_AFTER_S = 30 * 24 * 3600.0
"""Age from which nobody waits for an answer any more; deadlines are hours."""

ASK = 1
ALL_KEPT, SOME_FAILED = 1, 2
SUCCESS, PROCESSING_FAILURE, NO_SUCH_EVENT, INVALID_ARGUMENT = 0x0000, 0x0110, 0x0113, 0x0115
NOT_NAMED = 0x0112
"""No such object instance: noted too for objects that a report leaves out."""

_log = logging.getLogger("segnode")


@dataclass(frozen=True)
class Report:
    """A peer's answer.

    Attributes
    ----------
    failed
        Failure reason (PS3.3 C.14.1.1) by SOP Instance UID of each object that the peer does not keep.
    """

    failed: Mapping[str, int]


class Transactions:
    """The table of what was asked, in a spool that all processes share.

    Parameters
    ----------
    spool
        The spool's folder.
    """

    def __init__(self, spool: Path) -> None:
        self._folder = spool / "commitments"

    def open(self, objects: Sequence[tuple[str, str]]) -> str:
        """Note that objects are about to be asked for.

        Parameters
        ----------
        objects
            SOP Class and SOP Instance UID of each.

        Returns
        -------
        str
            The transaction's UID.
        """
        self._folder.mkdir(exist_ok=True)
        self._forget_old()
        transaction = f"2.25.{uuid4().int}"
        replace_file(self._path(transaction), json.dumps({"objects": [list(one) for one in objects]}).encode())
        return transaction

    def _forget_old(self) -> None:
        # A worker that died between asking and noting it leaves a transaction that nobody looks for.
        for path in self._folder.glob("[!.]*.json"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > FORGOTTEN_AFTER_S:
                    path.unlink()

    def objects(self, transaction: str) -> list[tuple[str, str]] | None:
        """What was asked; None where nobody asked."""
        content = _read(self._path(transaction))
        return None if content is None else [(one[0], one[1]) for one in content["objects"]]

    def put_report(self, transaction: str, report: Report) -> None:
        """Keep a peer's answer; a later one replaces it.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        replace_file(self._report_path(transaction), json.dumps({"failed": dict(report.failed)}).encode())

    def report(self, transaction: str) -> Report | None:
        """The peer's answer, if it has come."""
        content = _read(self._report_path(transaction))
        return None if content is None else Report(content["failed"])

    def close(self, transaction: str) -> None:
        """Forget a transaction: a report that comes later is answered as unknown."""
        self._path(transaction).unlink(missing_ok=True)
        self._report_path(transaction).unlink(missing_ok=True)

    def _path(self, transaction: str) -> Path:
        return self._folder / f"{object_name(transaction)}.json"

    def _report_path(self, transaction: str) -> Path:
        return self._folder / f"{object_name(transaction)}.report.json"


def ask_for_commitment(
    transactions: Transactions, transaction: str, destination: Destination, calling_ae: str
) -> Answer:
    """Send the N-ACTION of a transaction, and take in the answer if it comes at once on the same association.

    Returns
    -------
    Answer
        Whether the peer will answer; refused means that it has no such service or does not know the action.

    Raises
    ------
    RetryLater
        If there is no association, or no answer to the request itself.
    """
    ae = requesting_ae(calling_ae)
    ae.add_requested_context(PUSH_MODEL, list(REPORT_SYNTAXES))
    handlers: list[EventHandlerType] = [(evt.EVT_N_EVENT_REPORT, _take_in_event, [transactions])]
    association = associate(ae, destination, handlers)
    if not association.is_established:
        return explain_no_association(association)
    try:
        request = _request(transaction, transactions.objects(transaction) or [])
        response, _ = association.send_n_action(request, ASK, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        if "Status" not in response:
            raise RetryLater("the destination did not answer the request for commitment")
        status = int(response.Status)
        if status == PROCESSING_FAILURE or 0x0200 <= status < 0x0300:
            raise RetryLater(f"the destination answered the request for commitment with status 0x{status:04X}")
        if status != SUCCESS:
            return Answer(False, f"the destination refused the request for commitment with status 0x{status:04X}")
        deadline = time.monotonic() + SAME_ASSOCIATION_S
        while association.is_established and time.monotonic() < deadline:
            if transactions.report(transaction) is not None:
                break
            time.sleep(0.05)
    except (RuntimeError, ValueError) as error:
        raise RetryLater("the destination ended the association") from error
    finally:
        if association.is_established:
            association.release()
    return Answer(True)


def _request(transaction: str, objects: Sequence[tuple[str, str]]) -> Dataset:
    request = Dataset()
    request.TransactionUID = transaction
    request.ReferencedSOPSequence = []
    for sop_class, instance in objects:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = UID(sop_class), UID(instance)
        request.ReferencedSOPSequence.append(item)
    return request


def _take_in_event(event: Event, transactions: Transactions) -> tuple[int, None]:
    return take_in_report(event.event_type, lambda: event.event_information, transactions), None


def take_in_report(event_type: int | None, information: Callable[[], Dataset], transactions: Transactions) -> int:
    """Take in one N-EVENT-REPORT (PS3.4 J.3.3), and give the status to answer with.

    Parameters
    ----------
    event_type
        Event Type ID.
    information
        Decodes the event's data set; it may raise what pydicom raises.
    transactions
        Where reports are kept; success is answered only when it is on disk.
    """
    if event_type not in (ALL_KEPT, SOME_FAILED):
        return NO_SUCH_EVENT
    try:
        content = information()
        transaction = str(content.get("TransactionUID") or "")
        kept = {str(item.ReferencedSOPInstanceUID) for item in content.get("ReferencedSOPSequence") or []}
        reasons = {
            str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason") or PROCESSING_FAILURE)
            for item in content.get("FailedSOPSequence") or []
        }
    except MALFORMED:
        _log.warning("commitment_report_refused", extra={"reason": "unreadable"})
        return PROCESSING_FAILURE
    asked = transactions.objects(transaction) if is_uid(transaction) else None
    if asked is None:
        _log.warning("commitment_report_refused", extra={"reason": "unknown_transaction"})
        return INVALID_ARGUMENT
    failed = {uid: reasons.get(uid, NOT_NAMED) for _, uid in asked if uid in reasons or uid not in kept}
    try:
        transactions.put_report(transaction, Report(failed))
    except OSError:
        return PROCESSING_FAILURE
    _log.info("commitment_reported", extra={"objects": len(asked), "failed": len(failed)})
    return SUCCESS


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return content
