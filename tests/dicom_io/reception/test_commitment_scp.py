"""A report on storage commitment: nothing of it is kept before it is known who asked, nor of what nobody asked for."""

import struct
import tracemalloc
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_io.commitment.report import (
    INVALID_ARGUMENT,
    NO_SUCH_EVENT,
    NOT_NAMED,
    PROCESSING_FAILURE,
    SUCCESS,
)
from dicom_io.commitment.request import PUSH_MODEL
from dicom_io.commitment.transactions import Report, Transactions
from dicom_io.elements import MAX_ELEMENTS
from dicom_io.reception.association import Caller, Context
from dicom_io.reception.commitment_scp import MAX_REPORT_BYTES, NO_SUCH_CLASS, CommitmentScp
from dicom_io.reception.dimse import N_EVENT_REPORT_RQ, Command
from tests.faults.objects import element

OBJECTS = [(str(CTImageStorage), f"1.2.3.{number}") for number in range(3)]
CALLER = Caller("PACS", "SEGNODE", "127.0.0.1")
ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0)


@pytest.fixture
def transactions(tmp_path: Path) -> Transactions:
    return Transactions(tmp_path)


def report(transaction: str, kept: list[str], failed: dict[str, int]) -> Dataset:
    dataset = Dataset()
    dataset.TransactionUID = transaction
    dataset.ReferencedSOPSequence = [item(uid) for uid in kept]
    if failed:
        dataset.FailedSOPSequence = [item(uid, reason) for uid, reason in failed.items()]
    return dataset


def item(uid: str, reason: int | None = None) -> Dataset:
    dataset = Dataset()
    dataset.ReferencedSOPClassUID, dataset.ReferencedSOPInstanceUID = CTImageStorage, uid
    if reason is not None:
        dataset.FailureReason = reason
    return dataset


def encoded(dataset: Dataset, syntax: str, *, undefined: bool) -> bytes:
    for found in dataset:
        if found.VR == "SQ":
            found.is_undefined_length = undefined
    buffer = BytesIO()
    dataset.save_as(buffer, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    return buffer.getvalue()


def take_in(
    transactions: Transactions,
    content: Iterator[bytes] | list[bytes],
    *,
    syntax: str = ExplicitVRLittleEndian,
    event: int = 2,
    sop_class: str = PUSH_MODEL,
) -> int | None:
    command = Command(N_EVENT_REPORT_RQ, 1, True, PUSH_MODEL, "1.2.840.10008.1.20.1.1", event)
    request = CommitmentScp(transactions).begin(CALLER, Context(sop_class, syntax), command)
    for piece in content:
        request.write(memoryview(piece))
    status = request.finish()
    request.discard()
    return status


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=lambda uid: uid.keyword)
def test_a_report_says_what_is_kept(transactions: Transactions, syntax: str, undefined: bool) -> None:
    transaction = transactions.open(OBJECTS)
    content = encoded(report(transaction, ["1.2.3.0", "1.9"], {"1.2.3.1": 0x0213}), syntax, undefined=undefined)
    assert take_in(transactions, [content[:100], content[100:]], syntax=syntax) == SUCCESS
    assert transactions.report(transaction) == Report({"1.2.3.1": 0x0213, "1.2.3.2": NOT_NAMED})


def test_a_report_of_many_objects_is_taken_in(transactions: Transactions) -> None:
    objects = [(str(CTImageStorage), f"1.2.3.{number}") for number in range(1000)]
    transaction = transactions.open(objects)
    content = encoded(report(transaction, [uid for _, uid in objects], {}), ExplicitVRLittleEndian, undefined=True)
    assert take_in(transactions, [content[:20000], content[20000:]], event=1) == SUCCESS
    assert transactions.report(transaction) == Report({})


def test_nothing_is_kept_of_an_unrequested_report(transactions: Transactions) -> None:
    start = element(0x00081195, b"UI", b"1.2.3\0") + element(0x00081199, b"SQ", b"", 0xFFFFFFFF)
    tracemalloc.start()
    try:
        status = take_in(transactions, (piece for piece in (start, *[ITEM * 8192] * 240)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert status == INVALID_ARGUMENT
    assert peak < 4 << 20


def test_items_are_bounded_even_from_a_peer_that_was_asked(
    transactions: Transactions, caplog: pytest.LogCaptureFixture
) -> None:
    transaction = transactions.open(OBJECTS).encode()
    start = element(0x00081195, b"UI", transaction + b"\0" * (len(transaction) % 2))
    content = start + element(0x00081199, b"SQ", b"", 0xFFFFFFFF) + ITEM * MAX_ELEMENTS
    assert take_in(transactions, [content]) == PROCESSING_FAILURE
    assert [record.__dict__["reason"] for record in caplog.records] == ["too_many_elements"]


def test_a_report_without_end_is_forgotten(transactions: Transactions, caplog: pytest.LogCaptureFixture) -> None:
    transaction = transactions.open(OBJECTS).encode()
    start = element(0x00081195, b"UI", transaction + b"\0" * (len(transaction) % 2))
    assert take_in(transactions, [start, *[bytes(1 << 20)] * 17]) == PROCESSING_FAILURE
    assert MAX_REPORT_BYTES < 17 << 20
    assert [record.__dict__["reason"] for record in caplog.records] == ["too_long"]


@pytest.mark.parametrize("content", [b"", bytes(100), b"\xff" * 100, element(0x00081195, b"UI", b"../../etc/x ")])
def test_report_without_a_transaction_is_refused(transactions: Transactions, content: bytes) -> None:
    assert take_in(transactions, [content]) in (INVALID_ARGUMENT, PROCESSING_FAILURE)


def test_a_disk_that_fails_is_answered(transactions: Transactions, tmp_path: Path) -> None:
    transaction = transactions.open(OBJECTS)
    (table,) = (tmp_path / "commitments").iterdir()
    table.unlink()
    table.mkdir()
    content = encoded(report(transaction, [], {}), ExplicitVRLittleEndian, undefined=False)
    assert take_in(transactions, [content]) == PROCESSING_FAILURE


def test_other_contexts_and_events_are_refused(transactions: Transactions) -> None:
    assert take_in(transactions, [], sop_class=CTImageStorage) == NO_SUCH_CLASS
    assert take_in(transactions, [], event=3) == NO_SUCH_EVENT
