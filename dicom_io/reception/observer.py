"""Hears what a listener does: for counts and for the audit trail."""

import threading
from collections import Counter
from typing import BinaryIO, cast

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from dicom_io.delivery.audit import AuditTrail, Party, Transfer
from dicom_io.images.attributes import MALFORMED
from dicom_io.reception.association import Caller
from dicom_io.reception.received import ReceivedObject
from dicom_io.spool.counters import Counters
from dicom_io.spool.incoming import IncomingFile

_ALERT = "an association was rejected: AE title, address or certificate do not fit"


class Observer:
    """Hears everything and does nothing."""

    def stored(self, caller: Caller, received: ReceivedObject, sop_class: str, file: IncomingFile) -> None:
        """An object was stored, and is about to be acknowledged."""

    def ended(self, caller: Caller) -> None:
        """An association is over."""

    def rejected(self, calling_ae: str, address: str) -> None:
        """A peer was turned away."""


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
        self._lock = threading.Lock()
        self._under_way: dict[tuple[Caller, str, str], tuple[Party, Counter[str], tuple[str, str]]] = {}

    def stored(self, caller: Caller, received: ReceivedObject, sop_class: str, file: IncomingFile) -> None:
        """Count it; note whose it is, where there is an audit trail."""
        self._counters.add("segnode_received_instances")
        self._counters.add("segnode_received_bytes", file.size)
        if not self._audit.is_on:
            return
        key = (caller, received.study_uid, received.called_ae)
        with self._lock:
            known = self._under_way.get(key)
        if known is None:
            known = (Party(caller.calling_ae, caller.address), Counter(), _patient(file))
        with self._lock:
            self._under_way.setdefault(key, known)[1][sop_class] += 1

    def ended(self, caller: Caller) -> None:
        """Write what it transferred."""
        with self._lock:
            keys = [key for key in self._under_way if key[0] is caller]
            ended = [(key, self._under_way.pop(key)) for key in keys]
        for (_, study_uid, called_ae), (peer, instances, (patient_id, name)) in ended:
            self._audit.transferred(peer, Party(called_ae), Transfer(study_uid, patient_id, name, instances))

    def rejected(self, calling_ae: str, address: str) -> None:
        """Count it, and write an alert."""
        self._counters.add("segnode_rejected_associations")
        self._audit.alert(Party(calling_ae, address), _ALERT)


def _patient(file: IncomingFile) -> tuple[str, str]:
    try:
        content = cast(BinaryIO, file.reader())
        header = dcmread(content, specific_tags=["PatientID", "PatientName"], stop_before_pixels=True)
        return str(header.get("PatientID") or ""), str(header.get("PatientName") or "")
    except (InvalidDicomError, *MALFORMED):
        return "", ""
