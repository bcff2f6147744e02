"""Objects put into a spool without a network."""

from dataclasses import dataclass

from dicom_io.spool.ingest import Ingest, Placed
from dicom_io.spool.received import ReceivedObject


@dataclass(frozen=True)
class Sent:
    """An object with its bytes; the other fields are those of `ReceivedObject`."""

    called_ae: str
    study_uid: str
    sop_instance_uid: str
    starts_work: bool
    data: bytes


def put(arrival: Ingest, sent: Sent) -> Placed:
    """Receive an object."""
    file = arrival.begin()
    try:
        file.write(sent.data)
        received = ReceivedObject(sent.called_ae, sent.study_uid, sent.sop_instance_uid, sent.starts_work)
        return arrival.store(received, file)
    finally:
        file.close()
