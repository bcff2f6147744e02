"""A study of the spool and its patient, for the audit trail."""

from dicom_io.audit.trail import Transfer
from dicom_io.images.headers.part10 import patient_of
from dicom_io.spool.spool import Spool


def what_is_kept(spool: Spool, key: str) -> Transfer:
    """Return a study of the spool with its patient, as the first file that names one says."""
    patient_id = name = ""
    for path in sorted(spool.folder(key).rglob("*.dcm")):
        try:
            with path.open("rb") as file:
                patient_id, name = patient_of(file)
        except OSError:
            continue
        if patient_id or name:
            break
    return Transfer(spool.study(key)["study"], patient_id, name)
