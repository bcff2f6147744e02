"""Storage commitment: the request to a peer to commit to the safekeeping of objects that it was sent.

References
----------
PS3.4 annex J (Storage Commitment Service Class).
"""

import time
from collections.abc import Sequence
from io import BytesIO
from typing import cast

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.dimse_messages import N_EVENT_REPORT_RSP
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.pdu import P_DATA_TF

from core.errors import RetryLater
from dicom_io.commitment.report import PROCESSING_FAILURE, SUCCESS, take_in_report
from dicom_io.commitment.transactions import Transactions
from dicom_io.delivery.answer import Answer, Said
from dicom_io.delivery.store_scu import Destination, associate, requesting_ae

PUSH_MODEL = UID("1.2.840.10008.1.20.1")
PUSH_MODEL_INSTANCE = UID("1.2.840.10008.1.20.1.1")

REPORT_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
"""Without deflated, which pynetdicom proposes and takes by default: it inflates without bound."""

SAME_ASSOCIATION_S = 1.0
"""Time for which the association of the request stays open for the report."""

ASK = 1


def ask_for_commitment(
    transactions: Transactions, transaction: str, destination: Destination, calling_ae: str
) -> Answer:
    """Send the N-ACTION of a transaction, and take in the answer if it comes at once on the same association.

    Returns
    -------
    Answer
        Whether the peer will answer; refused means that it has no such service or does not know the action, later that
        it said that it cannot answer now.

    Raises
    ------
    RetryLater
        If there is no association, or no answer to the request itself.
    """
    ae = requesting_ae(calling_ae)
    ae.add_requested_context(PUSH_MODEL, list(REPORT_SYNTAXES))
    report = _ReportTaken(transactions)
    handlers: list[EventHandlerType] = [
        (evt.EVT_N_EVENT_REPORT, report.take_in),
        (evt.EVT_DIMSE_SENT, report.on_message_sent),
        (evt.EVT_PDU_SENT, report.on_pdu_sent),
    ]
    association = associate(ae, destination, handlers)
    if isinstance(association, Answer):
        return association
    try:
        request = _request(transaction, transactions.objects(transaction) or [])
        response, _ = association.send_n_action(request, ASK, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        if "Status" not in response:
            raise RetryLater("the destination did not answer the storage commitment request")
        status, comment = int(response.Status), str(response.get("ErrorComment") or "")
        if status == PROCESSING_FAILURE or 0x0200 <= status < 0x0300:
            reason = f"the destination answered the storage commitment request with status 0x{status:04X}"
            return Answer(Said.LATER, reason, comment)
        if status != SUCCESS:
            reason = f"the destination refused the storage commitment request with status 0x{status:04X}"
            return Answer(Said.REFUSED, reason, comment)
        deadline = time.monotonic() + SAME_ASSOCIATION_S
        while association.is_established and not report.is_answered:
            if not report.has_come and time.monotonic() >= deadline:
                break
            time.sleep(0.05)
    except (RuntimeError, ValueError) as error:
        raise RetryLater("the destination ended the association") from error
    finally:
        if association.is_established:
            association.release()
    return Answer(Said.STORED)


def _request(transaction: str, objects: Sequence[tuple[str, str]]) -> Dataset:
    request = Dataset()
    request.TransactionUID = transaction
    request.ReferencedSOPSequence = []
    for sop_class, instance in objects:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = UID(sop_class), UID(instance)
        request.ReferencedSOPSequence.append(item)
    return request


class _ReportTaken:
    """A report on the association that asked for it, which is released only once the report is answered."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._is_answering = False
        self.has_come = self.is_answered = False

    def take_in(self, event: Event) -> tuple[int, None]:
        """Take it in, and give its status."""
        self.has_come = True
        encoded = cast(N_EVENT_REPORT, event.request).EventInformation or BytesIO()
        return take_in_report(event.event_type, encoded, str(event.context.transfer_syntax), self._transactions), None

    def on_message_sent(self, event: Event) -> None:
        """Note that the next PDU is its answer; this comes before it is sent."""
        self._is_answering = isinstance(event.message, N_EVENT_REPORT_RSP)

    def on_pdu_sent(self, event: Event) -> None:
        """Note that it is answered."""
        if self._is_answering and isinstance(event.pdu, P_DATA_TF):
            self.is_answered = True
