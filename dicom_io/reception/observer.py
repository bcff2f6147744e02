"""Hears what a listener does: for counts and for the audit trail."""

from collections import Counter
from dataclasses import dataclass, field
from io import BufferedReader

from dicom_io.audit.trail import AuditTrail, Party, Transfer
from dicom_io.images.headers.part10 import patient_of
from dicom_io.reception.association import Caller
from dicom_io.spool.counters import Counters
from dicom_io.spool.incoming import IncomingFile
from dicom_io.spool.received import ReceivedObject

_REJECTED = "an association was rejected: AE title, address or certificate do not fit"
_TLS_FAILED = "a TLS handshake failed: no certificate that is believed, or an old version"


@dataclass
class _Received:
    patient_id: str
    patient_name: str
    instances: Counter[str] = field(default_factory=Counter)
    complete: bool = True


class Observer:
    """Hears everything and does nothing."""

    def stored(self, caller: Caller, received: ReceivedObject, sop_class: str, file: IncomingFile) -> None:
        """An object was stored, and is about to be acknowledged."""

    def not_stored(self, caller: Caller, received: ReceivedObject, file: IncomingFile) -> None:
        """An object came whole, and the disk did not take it."""

    def ended(self, caller: Caller) -> None:
        """An association is over."""

    def rejected(self, calling_ae: str, address: str) -> None:
        """A peer was turned away."""

    def tls_failed(self, address: str) -> None:
        """Somebody could not prove who it is."""


class ReceptionRecord(Observer):
    """Counts what was received, and writes one audit message for each study of each association.

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
        # What an association brought is its own thread's.
        self._under_way: dict[Caller, dict[str, _Received]] = {}

    def stored(self, caller: Caller, received: ReceivedObject, sop_class: str, file: IncomingFile) -> None:
        """Count it; note whose it is, where there is an audit trail."""
        self._counters.add("segnode_received_instances")
        self._counters.add("segnode_received_bytes", file.size)
        if self._audit.is_on:
            self._of_study(caller, received, file).instances[sop_class] += 1

    def not_stored(self, caller: Caller, received: ReceivedObject, file: IncomingFile) -> None:
        """Note that the study did not come whole, where there is an audit trail."""
        if self._audit.is_on:
            self._of_study(caller, received, file).complete = False

    def _of_study(self, caller: Caller, received: ReceivedObject, file: IncomingFile) -> "_Received":
        studies = self._under_way.setdefault(caller, {})
        if received.study_uid not in studies:
            studies[received.study_uid] = _Received(*_patient(file))
        return studies[received.study_uid]

    def ended(self, caller: Caller) -> None:
        """Write what it transferred."""
        peer, me = Party(caller.calling_ae, caller.address), Party(caller.called_ae)
        for study_uid, study in self._under_way.pop(caller, {}).items():
            transfer = Transfer(study_uid, study.patient_id, study.patient_name, study.instances)
            self._audit.transferred(peer, me, transfer, complete=study.complete)

    def rejected(self, calling_ae: str, address: str) -> None:
        """Count it, and write an alert."""
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
