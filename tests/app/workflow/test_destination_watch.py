"""A destination that comes back is used at once, as a person wishes too, and a defect ends one delivery alone."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest
from pydicom.uid import generate_uid

from app.workflow.destination_watch import DestinationWatch
from dicom_io.spool.records import Delivery
from runtime.worker_lease import WorkerLease
from tests.faults.table import FAULT
from tests.support.delivery_case import NAME, Case, web
from tests.support.node_process import NodeProcess, free_port, wait_until, write_study
from tests.support.peers import store
from tests.support.receiver import Receiver
from tests.support.web_server import WebServer

LONG = {"first_seconds": 900.0, "longest_seconds": 3600.0}
"""Longer than any test waits: what comes sooner comes for another reason."""


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {name: free_port() for name in ("pacs", "web", "broken", "never")}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[NodeProcess]:
    folder = tmp_path_factory.mktemp("node")
    node = NodeProcess(folder, {"pacs": (1, "PACS")}, environment={"STUB_DEFECT_AT_PORT": str(ports["broken"])})
    dicom = {"kind": "dicom", "ae_title": "PACS", "host": "127.0.0.1", "retry": LONG}
    node.set(
        destinations={
            **{name: dicom | {"port": ports[name]} for name in ("pacs", "broken", "never")},
            "web": {"kind": "dicomweb", "url": f"http://127.0.0.1:{ports['web']}/dicom-web", "retry": LONG},
        },
        routes=[
            {"called_ae": "BACK", "models": ["stub"], "destinations": ["pacs", "web"]},
            {"called_ae": "DEFECT", "models": ["stub"], "destinations": ["broken", "pacs"]},
            {"called_ae": "NEVER", "models": ["stub"], "destinations": ["never"]},
        ],
    )
    node.start()
    yield node
    node.stop()


def deliveries(node: NodeProcess, study: str) -> dict[str, Delivery]:
    latest = node.latest(study)
    return node.spool.revision(latest.key, latest.number).deliveries() if latest is not None else {}


def tried(node: NodeProcess, study: str, *names: str) -> bool:
    """Return whether a study waits for the next try at each of the destinations."""
    found = deliveries(node, study)
    return all(name in found and found[name].reason and found[name].state == "waiting" for name in names)


def send(peer: Callable[[str], str], node: NodeProcess, folder: Path, called_ae: str) -> str:
    study = str(generate_uid())
    assert store(peer("storescu"), node.port, called_ae, write_study(folder / study, study)) == 0
    return study


def test_destination_that_comes_back_is_used_at_once(
    peer: Callable[[str], str],
    node: NodeProcess,
    ports: dict[str, int],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    record_property(FAULT, "destination comes back long before the next try is due")
    study = send(peer, node, tmp_path, "BACK")
    wait_until(lambda: tried(node, study, "pacs", "web"))
    assert "refused the connection" in deliveries(node, study)["pacs"].reason
    pacs = Receiver(ports["pacs"]).start()
    try:
        with WebServer(port=ports["web"]) as web:
            assert node.wait_for_end(study)["state"] == "delivered"
            assert len(web.requests) == 1
    finally:
        pacs.stop()
    assert [taken.study for taken in pacs.taken] == [study]


def test_retry_of_a_study_that_is_being_delivered_tries_now(
    peer: Callable[[str], str], node: NodeProcess, tmp_path: Path
) -> None:
    study = send(peer, node, tmp_path, "NEVER")
    wait_until(lambda: tried(node, study, "never"))
    latest = node.latest(study)
    assert latest is not None
    attempts = deliveries(node, study)["never"].attempts
    assert node.studies("retry", latest.key)["state"] == "delivering"
    wait_until(lambda: deliveries(node, study)["never"].attempts > attempts)
    wait_until(lambda: tried(node, study, "never"))


def test_defect_in_one_delivery_ends_that_one_alone(
    peer: Callable[[str], str],
    node: NodeProcess,
    ports: dict[str, int],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    record_property(FAULT, "a defect of the program in one of two deliveries")
    study = send(peer, node, tmp_path, "DEFECT")
    wait_until(lambda: tried(node, study, "pacs"))
    wait_until(lambda: deliveries(node, study)["broken"].state == "failed")
    assert deliveries(node, study)["broken"].reason.startswith("internal_error: ZeroDivisionError")
    latest = node.latest(study)
    assert latest is not None
    assert latest.read_state()["state"] == "delivering"
    pacs = Receiver(ports["pacs"]).start()
    try:
        end = node.wait_for_end(study)
    finally:
        pacs.stop()
    assert (end["state"], end["reason"]["code"]) == ("failed", "internal_error")
    assert end["reason"]["message"] == "Not delivered to broken."
    assert [taken.study for taken in pacs.taken] == [study]


def test_a_try_under_way_is_no_coming_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    delayed = [["try"]]
    begun: list[Sequence[str]] = []
    monkeypatch.setattr("app.workflow.destination_watch.delayed_in", lambda queue, at_most=None: delayed[-1])
    monkeypatch.setattr("app.workflow.destination_watch.is_used", lambda queue: True)
    monkeypatch.setattr("app.workflow.destination_watch.end_delays", begun.append)
    with WebServer(holds=set()) as server:
        case = Case(tmp_path, web(server))
        watch = DestinationWatch(case.settings, cast(WorkerLease, None))
        assert watch.look(NAME)
        for waiting in ([], ["try"], [], ["try"]):
            delayed.append(waiting)
            assert not watch.look(NAME)
    assert begun == [["try"]]
