"""Deletes studies that were delivered long ago; what was refused, failed or quarantined stays for a person."""

import calendar
import logging
import time

from dicom_io.delivery.audit import AuditTrail
from dicom_io.delivery.kept import what_is_kept
from dicom_io.spool.apart import apart
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool

_log = logging.getLogger("segnode")


def delete_delivered(
    spool: Spool, older_than_s: float, now: float | None = None, *, trail: AuditTrail | None = None
) -> list[str]:
    """Delete every study whose revisions all ended well, the newest of them long enough ago.

    Parameters
    ----------
    spool
        The spool.
    older_than_s
        Age in seconds since the newest revision ended.
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

    def is_old(revisions: list[Revision]) -> bool:
        return bool(revisions) and all(
            revision.needs_nobody and now - _ended_at(revision) > older_than_s for revision in revisions
        )

    deleted = []
    for key in spool.study_keys():
        with apart(key):
            # Looked at twice: without the lock to disturb nobody, and under it since an image may have come.
            if not is_old(spool.revisions(key)):
                continue
            kept = what_is_kept(spool, key) if trail is not None and trail.is_on else None
            if spool.delete(key, is_old):
                _log.info("study_deleted", extra={"study": key, "reason": "age"})
                deleted.append(key)
                if trail is not None and kept is not None:
                    trail.handled(trail.node, "D", kept)
    return deleted


def _ended_at(revision: Revision) -> float:
    return float(calendar.timegm(time.strptime(revision.read_state()["since"], "%Y-%m-%dT%H:%M:%SZ")))
