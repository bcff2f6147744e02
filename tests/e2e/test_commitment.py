"""Storage commitment with Orthanc as the partner, and with partners that keep less than they took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage, generate_uid
from pynetdicom import AE, evt
from pynetdicom.events import Event

from dicom_io.commitment.request import PUSH_MODEL, PUSH_MODEL_INSTANCE
from tests.support.node_process import NodeProcess, free_port, wait_until, write_study
from tests.support.peers import Orthanc, store

PATIENT_S, IMPATIENT_S = 3600, 6


class Keeper:
    """A storage SCP that confirms storage by a new association, the way that a test asks for.

    ``forgets``: how often it says that it does not keep what it took; ``silent``: it never reports.
    """

    ae_title = "KEEPER"

    def __init__(self, node_port: int) -> None:
        self.port, self._node_port = free_port(), node_port
        self.forgets, self.silent, self.wrong_first = 0, False, False
        self.received: list[str] = []
        self.statuses: list[int] = []
        ae = AE(ae_title=self.ae_title)
        ae.add_supported_context(SegmentationStorage)
        ae.add_supported_context(PUSH_MODEL)
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_ACTION, self._note),
            (evt.EVT_RELEASED, self._report),
        ]
        self._asked: list[Dataset] = []
        self.server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def _store(self, event: Event) -> int:
        self.received.append(str(event.dataset.SOPInstanceUID))
        return 0

    def _note(self, event: Event) -> tuple[int, None]:
        self._asked.append(event.action_information)
        return 0, None

    def _report(self, event: Event) -> None:
        if not self.silent:
            self.report()

    def report(self) -> None:
        """Report on everything that was asked and not reported on."""
        asked, self._asked = self._asked, []
        for request in asked:
            report = Dataset()
            report.TransactionUID = request.TransactionUID
            kind, kept = 1, list(request.ReferencedSOPSequence)
            if self.forgets > 0:
                self.forgets -= 1
                kind, failed = 2, kept.pop()
                failed.FailureReason = 0x0112
                report.FailedSOPSequence = [failed]
            report.ReferencedSOPSequence = kept
            self.statuses.append(self._send(report, kind))

    def _send(self, report: Dataset, kind: int) -> int:
        ae = AE(ae_title=self.ae_title)
        ae.add_requested_context(PUSH_MODEL)
        association = ae.associate("127.0.0.1", self._node_port, ae_title="SEGNODE")
        status, _ = association.send_n_event_report(report, kind, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        association.release()
        return int(status.Status)


@pytest.fixture(scope="module")
def parties(
    orthanc_server: Orthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Orthanc, Keeper, NodeProcess]]:
    folder = tmp_path_factory.mktemp("commitment")
    port = free_port()
    pacs = orthanc_server
    pacs.know("SEGNODE", "SEGNODE", port)
    keeper = Keeper(port)
    node = NodeProcess(
        folder / "node",
        {
            "pacs": (pacs.dicom_port, pacs.ae_title),
            "keeper": (keeper.port, keeper.ae_title),
            "hasty": (keeper.port, keeper.ae_title),
        },
        routes={"SEGNODE": ["stub"], "KEEP": ["stub"], "HASTE": ["stub"]},
        port=port,
    )
    settings = yaml.safe_load(node.config.read_text())
    for route, destination in zip(settings["routes"], ("pacs", "keeper", "hasty"), strict=True):
        route["destinations"] = [destination]
        deadline = IMPATIENT_S if destination == "hasty" else PATIENT_S
        settings["destinations"][destination]["commitment"] = {"deadline_seconds": deadline}
    node.config.write_text(yaml.safe_dump(settings))
    node.start()
    yield pacs, keeper, node
    node.stop()
    if keeper.server is not None:
        keeper.server.shutdown()


@contextmanager
def pushed(node: NodeProcess, storescu: str, folder: Path, called_ae: str) -> Iterator[str]:
    study = generate_uid()
    assert store(storescu, node.port, called_ae, write_study(folder, study)) == 0
    yield study


def test_orthanc_confirms_what_it_keeps(
    parties: tuple[Orthanc, Keeper, NodeProcess], peer: Callable[[str], str], tmp_path: Path
) -> None:
    pacs, _, node = parties
    with pushed(node, peer("storescu"), tmp_path, "SEGNODE") as study:
        assert node.wait_for_end(study)["state"] == "committed"
    assert len(pacs.instances(study, "SEG")) == 1
    wait_until(lambda: "commitment_reported objects=1 failed=0" in node.log.read_text())
    assert list((node.spool.root / "commitments").iterdir()) == []


def test_object_that_the_peer_does_not_keep_is_sent_again(
    parties: tuple[Orthanc, Keeper, NodeProcess], peer: Callable[[str], str], tmp_path: Path
) -> None:
    _, keeper, node = parties
    keeper.forgets, before = 1, len(keeper.received)
    with pushed(node, peer("storescu"), tmp_path, "KEEP") as study:
        assert node.wait_for_end(study)["state"] == "committed"
    sent = keeper.received[before:]
    assert len(sent) == 2
    assert len(set(sent)) == 1
    assert set(keeper.statuses) == {0}


def test_a_peer_that_never_keeps_it_ends_the_delivery_visibly(
    parties: tuple[Orthanc, Keeper, NodeProcess], peer: Callable[[str], str], tmp_path: Path
) -> None:
    _, keeper, node = parties
    keeper.forgets = 1000
    try:
        with pushed(node, peer("storescu"), tmp_path, "KEEP") as study:
            end = node.wait_for_end(study)
    finally:
        keeper.forgets = 0
    assert (end["state"], end["reason"]["code"]) == ("failed", "not_delivered")
    delivery = node.latest(study).read_delivery("keeper")  # type: ignore[union-attr]
    assert delivery is not None
    assert "does not keep 1 of 1 objects (0x0112)" in delivery["reason"]


def test_a_peer_that_never_reports_is_waited_for_until_the_deadline(
    parties: tuple[Orthanc, Keeper, NodeProcess], peer: Callable[[str], str], tmp_path: Path
) -> None:
    _, keeper, node = parties
    keeper.silent, began = True, time.monotonic()
    try:
        with pushed(node, peer("storescu"), tmp_path, "HASTE") as study:
            wait_until(
                lambda: (latest := node.latest(study)) is not None and latest.read_state()["state"] == "delivering"
            )
            end = node.wait_for_end(study)
    finally:
        keeper.silent, keeper._asked = False, []
    assert end["state"] == "failed"
    assert time.monotonic() - began > IMPATIENT_S
    delivery = node.latest(study).read_delivery("hasty")  # type: ignore[union-attr]
    assert delivery is not None
    assert f"within {IMPATIENT_S} s" in delivery["reason"]
    # A person asks again, and this time the peer answers.
    node.studies("retry", node.latest(study).key)  # type: ignore[union-attr]
    assert node.wait_for_end(study)["state"] == "committed"


def test_a_report_counts_that_comes_while_the_worker_is_dead(
    parties: tuple[Orthanc, Keeper, NodeProcess], peer: Callable[[str], str], tmp_path: Path
) -> None:
    _, keeper, node = parties
    keeper.silent, before = True, len(keeper.received)

    def asked(study: str) -> bool:
        latest = node.latest(study)
        delivery = latest.read_delivery("keeper") if latest is not None else None
        return delivery is not None and "transaction" in delivery

    try:
        with pushed(node, peer("storescu"), tmp_path, "KEEP") as study:
            wait_until(lambda: asked(study), every_s=0.02)
            node.kill_child("worker")
            keeper.report()
            assert node.wait_for_end(study)["state"] == "committed"
    finally:
        keeper.silent = False
    assert len(keeper.received) == before + 1
    assert keeper.statuses[-1] == 0


@pytest.mark.parametrize("transaction", ["2.25.1", ""])
def test_a_report_without_a_request_is_refused(parties: tuple[Orthanc, Keeper, NodeProcess], transaction: str) -> None:
    _, keeper, node = parties
    report = Dataset()
    report.TransactionUID = transaction
    report.ReferencedSOPSequence = []
    assert keeper._send(report, 1) == 0x0115
    assert list((node.spool.root / "commitments").glob("*.report.json")) == []
