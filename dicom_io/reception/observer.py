"""Records of a listener's work, for counters and for the audit trail."""

from collections import Counter
from dataclasses import dataclass, field
from io import BufferedReader

from dicom_io.audit.trail import AuditTrail, Party, Transfer
from dicom_io.images.headers.part10 import patient_of
from dicom_io.reception.association import Caller
from dicom_io.spool.counters import Counters
from dicom_io.spool.incoming import IncomingFile
from dicom_io.spool.received import ReceivedObject

_REJECTED = "association rejected: AE title, address or certificate does not match a configured peer"
_TLS_FAILED = "TLS handshake failed: the peer has no trusted certificate, or its TLS version is too old"


@dataclass
class _Received:
    patient_id: str
    patient_name: str
    instances: Counter[str] = field(default_factory=Counter)
    complete: bool = True


class Observer:
    """An observer that ignores every event."""

    def stored(self, caller: Caller, received: ReceivedObject, sop_class: str, file: IncomingFile) -> None:
        """Take note that an object was stored and is about to be acknowledged."""

    def not_stored(self, caller: Caller, received: ReceivedObject, file: IncomingFile) -> None:
        """Take note that an object was received whole but could not be stored."""

    def ended(self, caller: Caller) -> None:
        """Take note that an association has ended."""

    def rejected(self, calling_ae: str, address: str) -> None:
        """Take note that a peer was rejected."""

    def tls_failed(self, address: str) -> None:
        """Take note that a peer failed the TLS handshake."""


class ReceptionRecord(Observer):
    """An observer that counts received objects, and writes one audit message for each study of each association.

    Parameters
    ----------
    counters
        This process's counts.
    audit
        The node's audit trail.
    """

    def __init__(self, counters: Counters, audit: AuditTrail) -> None:
        self._counters = counters
        self._audit = audit
        # Each entry belongs to its association's thread.
        self._under_way: dict[Caller, dict[str, _Received]] = {}

    def stored(self, caller: Caller, received: ReceivedObject, sop_class: str, file: IncomingFile) -> None:
        """Count the object; note its patient if there is an audit trail."""
        self._counters.add("segnode_received_instances")
        self._counters.add("segnode_received_bytes", file.size)
        if self._audit.is_on:
            self._of_study(caller, received, file).instances[sop_class] += 1

    def not_stored(self, caller: Caller, received: ReceivedObject, file: IncomingFile) -> None:
        """Note that the study is incomplete, if there is an audit trail."""
        if self._audit.is_on:
            self._of_study(caller, received, file).complete = False

    def _of_study(self, caller: Caller, received: ReceivedObject, file: IncomingFile) -> "_Received":
        studies = self._under_way.setdefault(caller, {})
        if received.study_uid not in studies:
            studies[received.study_uid] = _Received(*_patient(file))
        return studies[received.study_uid]

    def ended(self, caller: Caller) -> None:
        """Write an audit message for each study that the association transferred."""
        peer, me = Party(caller.calling_ae, caller.address), Party(caller.called_ae)
        for study_uid, study in self._under_way.pop(caller, {}).items():
            transfer = Transfer(study_uid, study.patient_id, study.patient_name, study.instances)
            self._audit.transferred(peer, me, transfer, complete=study.complete)

    def rejected(self, calling_ae: str, address: str) -> None:
        """Count the rejection, and write an alert."""
        self._counters.add("segnode_rejected_associations")
        self._audit.alert(Party(calling_ae, address), _REJECTED)

    def tls_failed(self, address: str) -> None:
        """Write an alert."""
        self._audit.alert(Party(address, address), _TLS_FAILED)


def _patient(file: IncomingFile) -> tuple[str, str]:
    try:
        return patient_of(BufferedReader(file.reader()))
    except OSError:  # it is on disk, and to be acknowledged, or was refused for that already
        return "", ""
