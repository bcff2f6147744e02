"""The identity of an object that a peer sent, and the names that may be derived from what it says."""

import hashlib
from dataclasses import dataclass

from dicom_io.uids import is_uid as is_uid  # who receives objects finds it beside the names it guards


def study_key(called_ae: str, study_uid: str) -> str:
    """Short ID of a study as one called AE title received it: folder name, log entry and workflow ID."""
    return hashlib.sha256(f"{called_ae}\0{study_uid}".encode()).hexdigest()[:16]


def object_name(sop_instance_uid: str) -> str:
    """Name of an object's file, without extension."""
    return hashlib.sha256(sop_instance_uid.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class ReceivedObject:
    """The identity of one object; its bytes are in a file (`dicom_io.spool.incoming`).

    Attributes
    ----------
    called_ae
        The AE title it was sent to.
    study_uid, sop_instance_uid
        Validated UIDs of the data set.
    starts_work
        Whether it is an image of a kind that models read; only those open revisions.
    """

    called_ae: str
    study_uid: str
    sop_instance_uid: str
    starts_work: bool
