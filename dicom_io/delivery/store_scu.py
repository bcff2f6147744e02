"""Sends one object to a storage SCP, and tells what may be tried again from what may not."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pynetdicom
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event, EventHandlerType

from core.errors import NotReached, RetryLater
from dicom_io.delivery.answer import Answer, Said, said_by_failure, warning_text
from dicom_io.delivery.connection_problem import explain_problem
from dicom_io.implementation import introduce
from dicom_io.tls import TlsFiles, client_context

CONNECT_TIMEOUT_S = 10.0
ASSOCIATION_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 300.0
"""Time that a PACS may take to answer a C-STORE; some index the object first."""

REFUSAL_TIMEOUT_S = 1.0
"""Time for which a peer that took the connection may still refuse this node's certificate."""

UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


@dataclass(frozen=True)
class Destination:
    """A storage SCP."""

    host: str
    port: int
    ae_title: str
    tls: TlsFiles | None = None


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
        What its status means (PS3.4 table B.2-1, PS3.7 annex C).

    Raises
    ------
    NotReached
        If there is no connection or association.
    RetryLater
        If there is no answer in time.
    ConfigInvalid
        If a certificate's file cannot be used.
    """
    dataset = dcmread(path)
    ae = requesting_ae(calling_ae)
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    for proposed in UNCOMPRESSED if syntax in UNCOMPRESSED else (syntax,):
        ae.add_requested_context(dataset.SOPClassUID, proposed)
    named: list[str] = []
    handlers: list[EventHandlerType] = [
        (evt.EVT_DATA_SENT, _close_unless, [may_go_on]),
        (evt.EVT_DIMSE_RECV, _note_named, [named]),
    ]
    association = associate(ae, destination, handlers)
    if isinstance(association, Answer):
        return association
    try:
        if not may_go_on():
            raise RetryLater("lease expired; transfer aborted")
        return _store(association, dataset, named)
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


def _note_named(event: Event, named: list[str]) -> None:
    instance = event.message.command_set.get("AffectedSOPInstanceUID")
    if instance:
        named.append(str(instance))


def associate(
    ae: AE, destination: Destination, evt_handlers: list[EventHandlerType] | None = None
) -> Association | Answer:
    """Request an association with the AE's contexts, over TLS if the destination has it.

    Returns
    -------
    Association or Answer
        An established association, or a refusal if the peer takes none of the contexts.

    Raises
    ------
    NotReached
        With the reason, if there is no association for now.
    ConfigInvalid
        If a certificate's file cannot be used.
    """
    tls = (client_context(destination.tls), destination.host) if destination.tls is not None else None
    began = time.monotonic()
    try:
        association = ae.associate(
            destination.host,
            destination.port,
            ae_title=destination.ae_title,
            tls_args=tls,
            evt_handlers=evt_handlers,
        )
    except OSError as error:  # a name that is not known
        raise NotReached(explain_problem(error, destination.host, destination.port)) from error
    if association.is_established:
        return association
    if association.is_rejected:
        # A person corrects this at the destination, which then takes the object.
        raise NotReached("the destination rejected the association; check both AE titles and its limit of associations")
    if association.acceptor.primitive is not None and not association.accepted_contexts:
        return Answer(Said.REFUSED, "the destination does not accept this SOP class and transfer syntax")
    raise NotReached(_why_no_association(destination, time.monotonic() - began))


def _why_no_association(destination: Destination, waited_s: float) -> str:
    """Return the reason in a sentence: pynetdicom does not say it, so the connection is tried once more by itself."""
    host, port = destination.host, destination.port
    try:
        with socket.create_connection((host, port), CONNECT_TIMEOUT_S) as connection:
            if destination.tls is not None:
                with client_context(destination.tls).wrap_socket(connection, server_hostname=host) as encrypted:
                    # With TLS 1.3 a peer refuses this node's certificate after the handshake.
                    encrypted.settimeout(REFUSAL_TIMEOUT_S)
                    with suppress(TimeoutError):
                        encrypted.recv(1)
    except OSError as error:
        return explain_problem(error, host, port)
    if waited_s >= ASSOCIATION_TIMEOUT_S:
        waited = f"did not answer the association request within {ASSOCIATION_TIMEOUT_S:.0f} s"
        return f"{host} port {port} took the connection and {waited}; see its log"
    return f"{host} port {port} ended the connection without an association; check the port and tls, and see its log"


def _store(association: Association, dataset: FileDataset, named: list[str]) -> Answer:
    try:
        response = association.send_c_store(dataset)
    except (RuntimeError, ValueError) as error:
        # RuntimeError: the association ended before the request; ValueError: no context fits after negotiation.
        if isinstance(error, ValueError):
            return Answer(Said.REFUSED, "the destination does not accept this SOP class and transfer syntax")
        raise NotReached("the destination ended the association") from error
    if "Status" not in response:
        raise RetryLater("the destination did not answer in time, or closed the connection")
    status, comment = int(response.Status), str(response.get("ErrorComment") or "")
    if status == 0x0000 or status & 0xF000 == 0xB000:
        if any(instance != dataset.SOPInstanceUID for instance in named):
            return Answer(Said.UNNAMED, "the destination's answer names another object", comment)
        return Answer(Said.STORED, warning_text(status) if status else "", comment)
    said = said_by_failure(status)
    verb = "refused the object" if said is Said.REFUSED else "answered"
    return Answer(said, f"the destination {verb} with status 0x{status:04X}", comment)
