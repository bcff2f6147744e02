"""Asking for storage commitment: answers at once, refusals, and reports that say less than was asked."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, SegmentationStorage
from pynetdicom import AE, evt
from pynetdicom.events import Event

from dicom_io.commitment import request as commitment
from dicom_io.commitment.report import NOT_NAMED
from dicom_io.commitment.request import PUSH_MODEL, PUSH_MODEL_INSTANCE, ask_for_commitment
from dicom_io.commitment.transactions import Report, Transactions
from dicom_io.delivery.answer import Answer, Said
from dicom_io.delivery.store_scu import Destination
from tests.support.node_process import free_port, wait_until

OBJECTS = [(str(SegmentationStorage), f"1.2.3.{number}") for number in range(3)]


@contextmanager
def partner(
    on_action: Callable[[Event], tuple[int, None]], *, contexts: tuple[str, ...] = (PUSH_MODEL,)
) -> Iterator[Destination]:
    """A peer that answers N-ACTION as it is told."""
    ae = AE(ae_title="PACS")
    for context in contexts:
        ae.add_supported_context(context)
    port, handlers = free_port(), [(evt.EVT_N_ACTION, on_action)]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
    try:
        yield Destination("127.0.0.1", port, "PACS")
    finally:
        assert server is not None
        server.shutdown()


@pytest.fixture
def transactions(tmp_path: Path) -> Transactions:
    return Transactions(tmp_path)


def reporting(
    kept: list[str], failed: dict[str, int], kind: int, answered: list[int | None]
) -> Callable[[Event], tuple[int, None]]:
    """Answers on the same association, just after the answer to the request itself."""

    def send(association: Any, transaction: str) -> None:
        report = Dataset()
        report.TransactionUID = transaction
        report.ReferencedSOPSequence = [_item(uid) for uid in kept]
        if failed:
            report.FailedSOPSequence = [_item(uid, reason) for uid, reason in failed.items()]
        status, _ = association.send_n_event_report(report, kind, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        answered.append(status.get("Status"))

    def on_action(event: Event) -> tuple[int, None]:
        transaction = str(event.action_information.TransactionUID)
        threading.Timer(0.2, send, [event.assoc, transaction]).start()
        return 0, None

    return on_action


def _item(uid: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = SegmentationStorage, uid
    if reason is not None:
        item.FailureReason = reason
    return item


ALL = [uid for _, uid in OBJECTS]


@pytest.mark.parametrize(
    ("kept", "failed", "kind", "expected"),
    [
        (ALL, {}, 1, {}),
        (ALL[:2], {ALL[2]: 0x0213}, 2, {ALL[2]: 0x0213}),
        (ALL[:1], {}, 1, {ALL[1]: NOT_NAMED, ALL[2]: NOT_NAMED}),
        (ALL, {ALL[0]: 0x0110}, 2, {ALL[0]: 0x0110}),
        ([*ALL, "1.2.9"], {"1.2.8": 0x0112}, 2, {}),
    ],
    ids=["all", "one failed", "some left out", "kept and failed", "others too"],
)
def test_a_report_on_the_same_association_is_taken_in(
    transactions: Transactions,
    monkeypatch: pytest.MonkeyPatch,
    kept: list[str],
    failed: dict[str, int],
    kind: int,
    expected: dict[str, int],
) -> None:
    monkeypatch.setattr(commitment, "SAME_ASSOCIATION_S", 30.0)  # it waits for as long as the report takes
    answered: list[int | None] = []
    transaction = transactions.open(OBJECTS)
    with partner(reporting(kept, failed, kind, answered)) as pacs:
        assert ask_for_commitment(transactions, transaction, pacs, "SEGNODE") == Answer(Said.STORED)
        wait_until(lambda: answered == [0])
    assert transactions.report(transaction) == Report(expected)
    transactions.close(transaction)
    assert transactions.objects(transaction) is None
    assert transactions.report(transaction) is None


def test_the_request_names_every_object(transactions: Transactions) -> None:
    asked: list[Dataset] = []

    def on_action(event: Event) -> tuple[int, None]:
        asked.append(event.action_information)
        return 0, None

    transaction = transactions.open(OBJECTS)
    with partner(on_action) as pacs:
        ask_for_commitment(transactions, transaction, pacs, "SEGNODE")
    (request,) = asked
    assert request.TransactionUID == transaction
    named = [(str(i.ReferencedSOPClassUID), str(i.ReferencedSOPInstanceUID)) for i in request.ReferencedSOPSequence]
    assert named == OBJECTS
    assert transactions.report(transaction) is None


@pytest.mark.parametrize("status", [0x0112, 0x0122, 0x0123])
def test_refusals_stay(transactions: Transactions, status: int) -> None:
    with partner(lambda event: (status, None)) as pacs:
        answer = ask_for_commitment(transactions, transactions.open(OBJECTS), pacs, "SEGNODE")
    assert not answer.accepted
    assert f"0x{status:04X}" in answer.reason


@pytest.mark.parametrize("status", [0x0110, 0x0213])
def test_transient_failure_is_tried_again(transactions: Transactions, status: int) -> None:
    with partner(lambda event: (status, None)) as pacs:
        answer = ask_for_commitment(transactions, transactions.open(OBJECTS), pacs, "SEGNODE")
    assert (answer.said, f"0x{status:04X}" in answer.reason) == (Said.LATER, True)


def test_a_peer_without_the_service_refuses(transactions: Transactions) -> None:
    with partner(lambda event: (0, None), contexts=(SegmentationStorage,)) as pacs:
        answer = ask_for_commitment(transactions, transactions.open(OBJECTS), pacs, "SEGNODE")
    assert not answer.accepted


def test_nothing_is_asked_in_a_syntax_that_can_grow_without_bound(transactions: Transactions) -> None:
    proposed: list[str] = []

    def note(event: Event) -> None:
        for context in event.assoc.requestor.requested_contexts:
            proposed.extend(map(str, context.transfer_syntax))

    ae = AE(ae_title="PACS")
    ae.add_supported_context(PUSH_MODEL)
    port = free_port()
    handlers: list[Any] = [(evt.EVT_REQUESTED, note), (evt.EVT_N_ACTION, lambda event: (0, None))]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        pacs = Destination("127.0.0.1", port, "PACS")
        ask_for_commitment(transactions, transactions.open(OBJECTS), pacs, "SEGNODE")
    finally:
        server.shutdown()
    assert proposed
    assert DeflatedExplicitVRLittleEndian not in proposed


def test_transactions_cannot_be_guessed_and_never_become_paths(transactions: Transactions, tmp_path: Path) -> None:
    opened = {transactions.open(OBJECTS) for _ in range(20)}
    assert len(opened) == 20
    names = [path.name for path in (tmp_path / "commitments").iterdir()]
    assert not any(transaction in name for transaction in opened for name in names)
    assert transactions.objects("../../etc/passwd") is None


def test_a_transaction_that_is_no_longer_awaited_is_deleted(transactions: Transactions, tmp_path: Path) -> None:
    old = transactions.open(OBJECTS)
    (path,) = (tmp_path / "commitments").iterdir()
    os.utime(path, (0, 0))
    new = transactions.open(OBJECTS)
    assert transactions.objects(old) is None
    assert transactions.objects(new) == OBJECTS
