"""One N-EVENT-REPORT of storage commitment: a peer's answer that comes on an association of its own."""

from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID

from dicom_io.delivery.commitment import PROCESSING_FAILURE, PUSH_MODEL, Transactions, take_in_report
from dicom_io.reception.association import Answered, Caller, Context, Request
from dicom_io.reception.commands import Command

MAX_REPORT_BYTES = 1 << 24
"""A report of 50,000 objects."""

NO_SUCH_CLASS = 0x0118


class Reports:
    """Serves N-EVENT-REPORT.

    Parameters
    ----------
    transactions
        What was asked.
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
        self._syntax = UID(context.transfer_syntax)
        self._event_type = command.event_type
        self._encoded = bytearray()
        self._too_long = False

    def write(self, piece: memoryview) -> None:
        """Keep a piece of it, as far as reports go."""
        self._too_long = self._too_long or len(self._encoded) + len(piece) > MAX_REPORT_BYTES
        if not self._too_long:
            self._encoded += piece

    def finish(self) -> int:
        """Take it in."""
        if self._too_long:
            return PROCESSING_FAILURE
        return take_in_report(self._event_type, self._decode, self._transactions)

    def discard(self) -> None:
        """Forget it."""
        self._encoded.clear()

    def _decode(self) -> Dataset:
        return read_dataset(BytesIO(self._encoded), self._syntax.is_implicit_VR, self._syntax.is_little_endian)
