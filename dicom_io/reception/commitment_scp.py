"""One N-EVENT-REPORT of storage commitment, which a peer sends on an association of its own."""

from io import BytesIO

from core.event_log import EventLog
from dicom_io.commitment.report import PROCESSING_FAILURE, ReportRefusedError, asked_about, take_in_report
from dicom_io.commitment.request import PUSH_MODEL
from dicom_io.commitment.transactions import Transactions
from dicom_io.reception.association import Answered, Caller, Context, Request
from dicom_io.reception.dimse import Command

MAX_REPORT_BYTES = 1 << 24
"""A report of 50,000 objects."""

BEGINNING_BYTES = 16384
"""Bytes within which a report names its transaction; an unrequested report is dropped there."""

NO_SUCH_CLASS = 0x0118

_log = EventLog()


class CommitmentScp:
    """The service of N-EVENT-REPORT.

    Parameters
    ----------
    transactions
        Transactions that this node requested.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def begin(self, caller: Caller, context: Context, command: Command) -> Request:
        """Begin to receive a report."""
        if context.abstract_syntax != PUSH_MODEL:
            return Answered(NO_SUCH_CLASS)
        return _Report(self._transactions, context, command)


class _Report:
    def __init__(self, transactions: Transactions, context: Context, command: Command) -> None:
        self._transactions = transactions
        self._syntax = context.transfer_syntax
        self._event_type = command.event_type
        self._encoded = bytearray()
        self._is_known = False
        self._status: int | None = None

    def write(self, piece: memoryview) -> None:
        """Keep a piece of the report, up to `MAX_REPORT_BYTES`."""
        if self._status is not None:
            return
        self._encoded += piece
        if len(self._encoded) > MAX_REPORT_BYTES:
            _log.warning("commitment_report_refused", reason="too_long")
            self._refuse(PROCESSING_FAILURE)
        elif not self._is_known and len(self._encoded) >= BEGINNING_BYTES:
            try:
                asked_about(BytesIO(self._encoded[:BEGINNING_BYTES]), self._syntax, self._transactions)
                self._is_known = True
            except ReportRefusedError as refusal:
                _log.warning("commitment_report_refused", reason=refusal.reason)
                self._refuse(refusal.status)

    def finish(self) -> int:
        """Record the report, and return the status."""
        if self._status is not None:
            return self._status
        return take_in_report(self._event_type, BytesIO(self._encoded), self._syntax, self._transactions)

    def discard(self) -> None:
        """Drop the report."""
        self._encoded.clear()

    def _refuse(self, status: int) -> None:
        self._status = status
        self._encoded.clear()
