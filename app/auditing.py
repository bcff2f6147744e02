"""What a person does with a study at the command line, for the audit trail."""

import os
import pwd
from typing import Literal

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from app.settings import NodeSettings
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


def audit_handling(settings: NodeSettings, action: Literal["R", "U", "D"], kept: Transfer) -> None:
    """Say in the audit trail who looked at a study (R), had it run again (U), or deleted it (D)."""
    settings.audit_trail().handled(_user(), action, kept)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"
