"""Storage commitment: asking a peer whether it keeps what it was sent.

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
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.events import Event, EventHandlerType

from core.errors import RetryLater
from dicom_io.delivery.commitment_report import PROCESSING_FAILURE, SUCCESS, take_in_report
from dicom_io.delivery.sender import Answer, Destination, associate, explain_no_association, requesting_ae
from dicom_io.delivery.transactions import Transactions

PUSH_MODEL = UID("1.2.840.10008.1.20.1")
PUSH_MODEL_INSTANCE = UID("1.2.840.10008.1.20.1.1")

REPORT_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
"""Without deflated, which pynetdicom proposes and takes by default: it inflates without bound."""

SAME_ASSOCIATION_S = 1.0
"""How long the association that asked stays open for the answer."""

ASK = 1


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
    encoded = cast(N_EVENT_REPORT, event.request).EventInformation or BytesIO()
    return take_in_report(event.event_type, encoded, str(event.context.transfer_syntax), transactions), None
