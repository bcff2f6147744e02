"""Taking in a peer's answer on storage commitment: the transaction first, then only what was asked for.

References
----------
PS3.4 J.3.3 (N-EVENT-REPORT of the Storage Commitment Push Model).
"""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from core.event_log import EventLog
from dicom_io.commitment.transactions import Report, Transactions
from dicom_io.elements import ITEM, ElementsError, Walk, source_of
from dicom_io.uids import is_uid

ALL_KEPT, SOME_FAILED = 1, 2
SUCCESS, PROCESSING_FAILURE, NO_SUCH_EVENT, INVALID_ARGUMENT = 0x0000, 0x0110, 0x0113, 0x0115
NOT_NAMED = 0x0112
"""No such object instance: noted too for objects that a report leaves out."""

_TRANSACTION, _FAILED, _KEPT = 0x00081195, 0x00081198, 0x00081199
_INSTANCE, _REASON = 0x00081155, 0x00081197

_log = EventLog()


class ReportRefusedError(Exception):
    """A report is about nothing that was asked, cannot be read, or cannot be kept.

    Parameters
    ----------
    reason
        For the log.
    status
        To answer with.
    """

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


def take_in_report(event_type: int | None, encoded: BinaryIO, transfer_syntax: str, transactions: Transactions) -> int:
    """Take in one N-EVENT-REPORT, and give the status to answer with.

    Parameters
    ----------
    event_type
        Event Type ID.
    encoded, transfer_syntax
        The event's data set, seekable, and its UID.
    transactions
        Where reports are kept; success is answered only when it is on disk.
    """
    if event_type not in (ALL_KEPT, SOME_FAILED):
        return NO_SUCH_EVENT
    try:
        transaction, asked = asked_about(encoded, transfer_syntax, transactions)
        with _refusing():
            report = _decode(encoded, transfer_syntax, asked)
            transactions.put_report(transaction, report)
    except ReportRefusedError as refusal:
        _log.warning("commitment_report_refused", reason=refusal.reason)
        return refusal.status
    _log.info("commitment_reported", objects=len(asked), failed=len(report.failed))
    return SUCCESS


def asked_about(encoded: BinaryIO, transfer_syntax: str, transactions: Transactions) -> tuple[str, list[str]]:
    """Read from a report's beginning which transaction it is about, and return that with the instances requested.

    Raises
    ------
    ReportRefusedError
        If this node requested no such transaction; the report is then read no further.
    """
    with _refusing():
        transaction = _transaction_of(_walk(encoded, transfer_syntax))
        asked = transactions.objects(transaction) if is_uid(transaction) else None
    if asked is None:
        raise ReportRefusedError("unknown_transaction", INVALID_ARGUMENT)
    return transaction, [instance for _, instance in asked]


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except ElementsError as error:
        raise ReportRefusedError(error.reason, PROCESSING_FAILURE) from error
    except OSError as error:
        raise ReportRefusedError(errno.errorcode.get(error.errno or 0, "OS"), PROCESSING_FAILURE) from error


def _transaction_of(walk: Walk) -> str:
    for depth, tag, _, _ in walk:
        if depth == 0 and tag >= _TRANSACTION:
            return walk.uid() if tag == _TRANSACTION else ""
    return ""


def _walk(encoded: BinaryIO, transfer_syntax: str) -> Walk:
    encoded.seek(0)
    return Walk(source_of(encoded, transfer_syntax), transfer_syntax, lambda tag, vr: tag in (_FAILED, _KEPT))


def _decode(encoded: BinaryIO, transfer_syntax: str, asked: Sequence[str]) -> Report:
    named: dict[int, dict[str, int]] = {_FAILED: {}, _KEPT: {}}
    walk = _walk(encoded, transfer_syntax)
    known, instance, reason = frozenset(asked), "", PROCESSING_FAILURE
    objects: dict[str, int] | None = None
    for depth, tag, _, _ in walk:
        if depth == 0:
            objects = named.get(tag)
        elif depth == 1 and objects is not None:
            if tag == ITEM:
                instance, reason = "", PROCESSING_FAILURE
            elif tag == _INSTANCE:
                instance = walk.uid()
            elif tag == _REASON:
                reason = walk.number() or PROCESSING_FAILURE
            if instance in known:
                objects[instance] = reason
    failed, kept = named[_FAILED], named[_KEPT]
    return Report({uid: failed.get(uid, NOT_NAMED) for uid in asked if uid in failed or uid not in kept})
