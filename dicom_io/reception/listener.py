"""Takes what a PACS or modality sends, and answers "success" only when it is safe on disk.

Runs in a process of its own, without the libraries of the networks. Images of the kinds that models read start work;
everything else that comes along is kept beside the study and starts nothing. So nothing that this node makes (SEG, SR)
can ever be its own input, whoever sends it back.
"""

import errno
import logging
import ssl
import threading
import time
from dataclasses import dataclass
from io import BytesIO
from typing import cast

import pynetdicom
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pynetdicom import AE, VerificationPresentationContexts, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.pdu_primitives import A_ASSOCIATE

from dicom_io.delivery.commitment import PUSH_MODEL, REPORT_SYNTAXES, Transactions, take_in_report
from dicom_io.images.attributes import MALFORMED
from dicom_io.images.image_classes import IMAGE_CLASSES
from dicom_io.reception.accepted import Accepted
from dicom_io.reception.access import Access
from dicom_io.reception.encoding import file_head
from dicom_io.reception.limits import Limits
from dicom_io.reception.observer import Observer
from dicom_io.reception.received import ReceivedObject, is_uid, study_key
from dicom_io.reception.tls_server import peer_certificate
from dicom_io.reception.transport import NodeServer, Rejection
from dicom_io.spool.arrival import Arrival
from dicom_io.spool.room import NoRoomError

MAX_PDU_SIZE = 131072
GRACE_S = 5.0
"""How long associations may go on after the node was told to stop."""

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000

_LAST_TAG_READ = 0x0020000D
_log = logging.getLogger("segnode")


class Listener:
    """A storage SCP in front of a spool.

    Parameters
    ----------
    arrival
        Where objects go.
    ae_title
        The node's own AE title.
    access
        Who may open an association, and with which called AE titles.
    limits
        What any peer may ask for.
    contexts
        SOP classes that are taken, each with its transfer syntaxes.
    tls
        Where every connection has to be encrypted, and show a certificate.
    observer
        Hears of what was received and of whom was turned away.
    """

    def __init__(
        self,
        arrival: Arrival,
        ae_title: str,
        access: Access,
        *,
        limits: Limits | None = None,
        contexts: Accepted | None = None,
        tls: ssl.SSLContext | None = None,
        observer: Observer | None = None,
    ) -> None:
        # Both write what the peer sent into the log.
        pynetdicom._config.LOG_REQUEST_IDENTIFIERS = False
        pynetdicom._config.LOG_RESPONSE_IDENTIFIERS = False
        pynetdicom._config.LOG_HANDLER_LEVEL = "none"
        self._arrival = arrival
        self._observer = observer or Observer()
        self._access = access
        self._limits = limits or Limits()
        self._tls = tls
        self._ae = AE(ae_title=ae_title)
        self._ae.require_called_aet = True
        self._ae.maximum_pdu_size = MAX_PDU_SIZE
        # The server counts associations, and what it counted it has already admitted.
        self._ae.maximum_associations = 2 * self._limits.associations
        for context in VerificationPresentationContexts:
            self._ae.add_supported_context(str(context.abstract_syntax))
        for sop_class, syntaxes in (contexts or Accepted()).contexts():
            self._ae.add_supported_context(sop_class, syntaxes)
        # A peer that reports on storage commitment is the SCP of an association that it opens itself.
        self._ae.add_supported_context(PUSH_MODEL, list(REPORT_SYNTAXES), scu_role=False, scp_role=True)
        self._server: NodeServer | None = None

    def start(self, host: str, port: int, *, shares_port: bool = False) -> int:
        """Listen, in threads of its own.

        Parameters
        ----------
        host, port
            Where.
        shares_port
            Whether other processes may listen there too.

        Returns
        -------
        int
            The port, which the system chooses where 0 is given.

        Raises
        ------
        OSError
            If the address cannot be listened on.
        """
        handlers: list[EventHandlerType] = [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_C_ECHO, self._on_echo),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_CONN_CLOSE, lambda event: self._observer.ended(event.assoc)),
            (evt.EVT_N_EVENT_REPORT, take_in_report, [Transactions(self._arrival.spool.root)]),
        ]
        self._server = NodeServer(
            self._ae,
            (host, port),
            handlers,
            limits=self._limits,
            admit=self._admit,
            tls=self._tls,
            shares_port=shares_port,
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name="accept", daemon=True)
        self._thread.start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop listening, and let associations that are under way end for `GRACE_S` at most."""
        if self._server is None:
            return
        self._server.shutdown()
        deadline = time.monotonic() + GRACE_S
        for association in filter(lambda one: one.is_established, self._ae.active_associations):
            association.join(max(0.0, deadline - time.monotonic()))
        self._ae.shutdown()

    def _admit(self, request: A_ASSOCIATE, address: str, connection: ssl.SSLSocket | None) -> Rejection | None:
        certificate = peer_certificate(connection) if connection is not None else None
        rejection = self._access.rejection(request, address, certificate)
        if rejection is not None:
            self._observer.rejected(request.calling_ae_title, address)
        return rejection

    def _on_requested(self, event: Event) -> None:
        # It was one of the node's before there was an association; pynetdicom compares it with the one title it knows.
        asked = event.assoc.requestor.primitive
        if asked is not None:
            event.assoc.acceptor.ae_title = asked.called_ae_title

    def _on_echo(self, event: Event) -> int:
        return SUCCESS

    def _on_store(self, event: Event) -> int:
        """Answer one C-STORE (PS3.4 annex B, table B.2-1)."""
        request = cast(C_STORE, event.request)
        called_ae = event.assoc.acceptor.ae_title
        sop_class, instance = str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
        if sop_class != event.context.abstract_syntax:
            _log.warning("object_refused", extra={"reason": "class_of_another_context"})
            return DOES_NOT_MATCH
        if not is_uid(instance) or not is_uid(sop_class):
            _log.warning("object_refused", extra={"reason": "invalid_uid"})
            return CANNOT_UNDERSTAND
        if instance in self._arrival.spool.own:
            # It is on disk already, as this node's own result, and a PACS that routes all it has needs no error for it.
            _log.info("own_result_ignored")
            return SUCCESS
        syntax = str(event.context.transfer_syntax)
        data = file_head(sop_class, instance, syntax) + cast(BytesIO, request.DataSet).getvalue()
        uids = _identify(data)
        if uids is None or not is_uid(uids.study):
            _log.warning("object_refused", extra={"reason": "no_study_uid"})
            return CANNOT_UNDERSTAND
        if (uids.sop_class, uids.instance) != (sop_class, instance):
            _log.warning("object_refused", extra={"reason": "uids_do_not_match"})
            return DOES_NOT_MATCH
        received = ReceivedObject(called_ae, uids.study, instance, sop_class in IMAGE_CLASSES, data)
        if (status := self._store(received)) == SUCCESS:
            self._observer.stored(event.assoc, received, sop_class)
        return status

    def _store(self, received: ReceivedObject) -> int:
        key = study_key(received.called_ae, received.study_uid)
        try:
            placed = self._arrival.store(received)
        except OSError as error:
            reason = "kept_free" if isinstance(error, NoRoomError) else errno.errorcode.get(error.errno or 0, "OS")
            _log.error("object_not_stored", extra={"study": key, "reason": reason})
            return OUT_OF_RESOURCES
        if placed == "new_revision":
            _log.info("study_opened", extra={"study": key})
        elif placed == "quarantined":
            _log.warning("object_quarantined", extra={"study": key})
        elif placed != "stored":
            _log.info(f"object_{placed}", extra={"study": key})
        return SUCCESS


@dataclass(frozen=True)
class _Identity:
    sop_class: str
    instance: str
    study: str


def _identify(data: bytes) -> _Identity | None:
    """UIDs of a DICOM file, read up to the Study Instance UID and no further; None where it cannot be read."""
    try:
        header = read_partial(BytesIO(data), stop_when=_is_beyond_study)
        # Values are converted when they are asked for, and can be wrong too.
        uids = [str(header.get(keyword, "")) for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID")]
    except (InvalidDicomError, MemoryError, *MALFORMED):
        return None
    return _Identity(*(uid.rstrip("\0 ") for uid in uids))


def _is_beyond_study(tag: BaseTag, vr: str | None, length: int) -> bool:
    return int(tag) > _LAST_TAG_READ
