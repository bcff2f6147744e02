"""What the spool keeps of a study, for the audit trail."""

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from dicom_io.delivery.audit import Transfer
from dicom_io.images.attributes import MALFORMED
from dicom_io.spool.spool import Spool


def what_is_kept(spool: Spool, key: str) -> Transfer:
    """A study of the spool, and whose it is by the first file that says so."""
    patient_id = name = ""
    for path in sorted(spool.folder(key).rglob("*.dcm")):
        try:
            header = dcmread(path, specific_tags=["PatientID", "PatientName"], stop_before_pixels=True)
            patient_id, name = str(header.get("PatientID") or ""), str(header.get("PatientName") or "")
            break
        except (InvalidDicomError, *MALFORMED):
            continue
    return Transfer(spool.study(key)["study"], patient_id, name)
