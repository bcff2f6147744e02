"""Sends one object to a storage SCP, and tells what may be tried again from what may not."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pynetdicom
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event, EventHandlerType

from core.errors import RetryLater
from dicom_io.implementation import introduce
from dicom_io.tls import TlsFiles, client_context

CONNECT_TIMEOUT_S = 10.0
ASSOCIATION_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 300.0
"""Time that a PACS may take to answer a C-STORE; some index the object first."""

TRANSIENT_STATUSES = frozenset({0x0110, 0x0212, 0x0213, *range(0xA700, 0xA800)})
"""Processing failure, mistyped argument by a peer under load, resource limitation, out of resources."""

UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


@dataclass(frozen=True)
class Destination:
    """A storage SCP."""

    host: str
    port: int
    ae_title: str
    tls: TlsFiles | None = None


@dataclass(frozen=True)
class Answer:
    """The destination's answer about one object.

    Attributes
    ----------
    accepted
        Whether it stored the object.
    reason
        Empty, or the warning or refusal in words.
    """

    accepted: bool
    reason: str = ""


def send_object(
    path: Path, destination: Destination, calling_ae: str, may_go_on: Callable[[], bool] = lambda: True
) -> Answer:
    """Send a DICOM file by C-STORE, over an association of its own.

    Parameters
    ----------
    may_go_on
        Asked before the C-STORE and after each packet; once it says no, the connection is closed in mid-object.

    Returns
    -------
    Answer
        Refused means that another try gives the same answer.

    Raises
    ------
    RetryLater
        If there is no connection or association, no answer in time, or a status that passes: A7xx (out of resources)
        and 0110 (processing failure) of PS3.4 table B.2-1 and PS3.7 annex C.
    ConfigInvalid
        If a certificate's file cannot be used.
    """
    dataset = dcmread(path)
    ae = requesting_ae(calling_ae)
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    for proposed in UNCOMPRESSED if syntax in UNCOMPRESSED else (syntax,):
        ae.add_requested_context(dataset.SOPClassUID, proposed)
    association = associate(ae, destination, [(evt.EVT_DATA_SENT, _close_unless, [may_go_on])])
    if not association.is_established:
        return explain_no_association(association, destination)
    try:
        if not may_go_on():
            raise RetryLater("lease expired; transfer aborted")
        return _store(association, dataset)
    finally:
        if association.is_established:
            association.release()


def _close_unless(event: Event, may_go_on: Callable[[], bool]) -> None:
    # Between two packets is as soon as sending can be stopped; an A-ABORT would wait behind those that are queued.
    connection = event.assoc.dul.socket
    if connection is not None and not may_go_on():
        connection.close()


def requesting_ae(calling_ae: str) -> AE:
    """Return an application entity with this project's name and timeouts, whose log quotes no element of an object."""
    # Both write elements of the object into the log.
    pynetdicom._config.LOG_REQUEST_IDENTIFIERS = False
    pynetdicom._config.LOG_HANDLER_LEVEL = "none"
    ae = AE(ae_title=calling_ae)
    introduce(ae)
    ae.connection_timeout = CONNECT_TIMEOUT_S
    ae.acse_timeout = ASSOCIATION_TIMEOUT_S
    ae.network_timeout = ANSWER_TIMEOUT_S
    ae.dimse_timeout = ANSWER_TIMEOUT_S
    return ae


def associate(ae: AE, destination: Destination, evt_handlers: list[EventHandlerType] | None = None) -> Association:
    """Request an association with the AE's contexts, over TLS if the destination has it; it may be refused."""
    tls = (client_context(destination.tls), destination.host) if destination.tls is not None else None
    return ae.associate(
        destination.host,
        destination.port,
        ae_title=destination.ae_title,
        tls_args=tls,
        evt_handlers=evt_handlers,
    )


def explain_no_association(association: Association, destination: Destination) -> Answer:
    """Return the final refusal that left a destination without an association, or raise `RetryLater`."""
    if association.is_rejected:
        # A person corrects this at the destination, which then takes the object.
        raise RetryLater("the destination rejected the association; check both AE titles and its limit of associations")
    if association.acceptor.primitive is not None and not association.accepted_contexts:
        return Answer(False, "the destination does not accept this SOP class and transfer syntax")
    over = ", or the TLS handshake failed; check the certificates of both sides" if destination.tls is not None else ""
    raise RetryLater(f"no connection to {destination.host} port {destination.port}{over}")


def _store(association: Association, dataset: FileDataset) -> Answer:
    try:
        response = association.send_c_store(dataset)
    except (RuntimeError, ValueError) as error:
        # RuntimeError: the association ended before the request; ValueError: no context fits after negotiation.
        if isinstance(error, ValueError):
            return Answer(False, "the destination does not accept this SOP class and transfer syntax")
        raise RetryLater("the destination ended the association") from error
    if "Status" not in response:
        raise RetryLater("the destination did not answer in time, or closed the connection")
    status = int(response.Status)
    if status == 0x0000:
        return Answer(True)
    if status & 0xF000 == 0xB000:
        return Answer(True, f"stored with warning status 0x{status:04X}")
    if status in TRANSIENT_STATUSES:
        raise RetryLater(f"the destination answered with status 0x{status:04X}")
    return Answer(False, f"the destination refused the object with status 0x{status:04X}")
