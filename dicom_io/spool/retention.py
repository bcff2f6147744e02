"""Deletes studies that were delivered long ago; what was refused, failed or quarantined stays for a person.

Objects of which no image ever came start nothing, so they never end either. Where a PACS sends all that it has, they
would fill the disk unseen.
"""

import time
from functools import partial

from core.event_log import EventLog
from dicom_io.audit.trail import AuditTrail
from dicom_io.spool.isolation import apart
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool
from dicom_io.spool.study_patient import what_is_kept

_log = EventLog()


def delete_delivered(
    spool: Spool, older_than_s: float, now: float | None = None, *, trail: AuditTrail | None = None
) -> list[str]:
    """Delete every study whose revisions all ended well, the newest of them long enough ago, or that has no image.

    Parameters
    ----------
    spool
        The spool.
    older_than_s
        Age in seconds since the newest revision ended; without an image, since the last object came.
    now
        Unix time; the present if None.
    trail
        The audit trail, which says what was deleted.

    Returns
    -------
    list of str
        Keys of the deleted studies.
    """
    now = time.time() if now is None else now

    def is_old(key: str, revisions: list[Revision]) -> bool:
        if not revisions:
            return now - (spool.folder(key) / "others").stat().st_mtime > older_than_s
        return all(
            revision.needs_nobody and now - revision.read_state().since_s > older_than_s for revision in revisions
        )

    deleted = []
    for key in spool.study_keys():
        with apart(key):
            # Looked at twice: without the lock to disturb nobody, and under it since an image may have come.
            if not is_old(key, spool.revisions(key)):
                continue
            kept = what_is_kept(spool, key) if trail is not None and trail.is_on else None
            if spool.delete(key, partial(is_old, key)):
                _log.info("study_deleted", reason="age")
                deleted.append(key)
                if trail is not None and kept is not None:
                    trail.handled(trail.node, "D", kept)
    return deleted
