"""A delivery under a destination's answers: asked, delivered, tried again, or `unconfirmed`."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
import yaml
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage, generate_uid
from pynetdicom import AE, evt

from app.settings.node import NodeSettings, load_settings
from app.workflow.delivery_step import LOOKS, DeliveryStep, begin_delivery, end_of
from dicom_io.delivery.find_scu import STUDY_ROOT_FIND
from dicom_io.spool.claims import take
from dicom_io.spool.records import UNCONFIRMED, Delivery, RecordedReason, State
from dicom_io.spool.retention import delete_delivered
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool
from dicom_io.spool.study_actions import run_again
from tests.dicom_io.spool.test_claims import FixedTenure
from tests.support.node_process import free_port, make_image
from tests.support.web_server import WebServer, naming

KEY, NAME = "0123456789abcdef", "pacs"
SEG = "1/seg.dcm"


class Case:
    """One study with one result on its way to one destination, without a node around it."""

    def __init__(self, folder: Path, destination: dict[str, Any], **settings: Any) -> None:
        config = folder / "node.yaml"
        retry = {"first_seconds": 0.01, "longest_seconds": 0.01}
        content = {
            "ae_title": "SEGNODE",
            "host": "127.0.0.1",
            "port": 11112,
            "spool": "spool",
            "peers": "any",
            "routes": [{"called_ae": "SEGNODE", "models": ["stub"], "destinations": [NAME]}],
            "destinations": {NAME: {"retry": retry, **destination}},
        }
        config.write_text(yaml.safe_dump(content | settings))
        self.settings: NodeSettings = load_settings(config)
        self.spool = Spool(self.settings.spool)
        self.spool.prepare()
        self.spool.create_study(KEY, "SEGNODE", "1.2.3")
        with self.spool.locked(KEY):
            self.revision: Revision = self.spool.open_revision(KEY, State.DELIVERING)
        path = self.revision.results / SEG
        path.parent.mkdir(parents=True)
        make_image(generate_uid(), sop_class=SegmentationStorage).save_as(path, enforce_file_format=True)
        self.uid = str(dcmread(path).SOPInstanceUID)
        begin_delivery(self.revision, NAME, [SEG])
        self.step = DeliveryStep(self.settings)

    def advance(self) -> Delivery:
        """Go on with the delivery once."""
        run = self.revision.read_state().run
        self.step.advance(take(self.spool, FixedTenure(), self.revision, run, NAME), NAME)
        return self.delivery

    def until(self, *states: str) -> Delivery:
        """Go on until it has one of the states."""
        for _ in range(20):
            if (delivery := self.advance()).state in states:
                return delivery
        raise AssertionError(self.delivery)

    @property
    def delivery(self) -> Delivery:
        """Return the record on disk."""
        found = self.revision.read_delivery(NAME)
        assert found is not None
        return found

    def fail(self) -> None:
        """End the study as the workflow does."""
        end = end_of(self.revision)
        assert end is not None
        self.revision.write_state(state=end[0], reason=RecordedReason(*end[1:]))


def web(server: WebServer) -> dict[str, Any]:
    return {"kind": "dicomweb", "url": server.url}


# STOW-RS


def test_named_object_is_delivered_without_a_question(tmp_path: Path) -> None:
    with WebServer(holds=set()) as server:
        case = Case(tmp_path, web(server))
        assert case.advance().state == "delivered"
    assert (len(server.requests), server.questions) == (1, [])


def test_an_empty_answer_is_asked_about_and_found(tmp_path: Path) -> None:
    with WebServer(200, b"", holds=set()) as server:
        case = Case(tmp_path, web(server))
        asked = case.advance()
        assert (asked.state, dict(asked.unsure)) == ("waiting", {SEG: "unnamed"})
        found = case.advance()
    assert (found.state, dict(found.unsure), found.attempts) == ("delivered", {}, 1)
    assert len(server.requests) == 1


def test_object_that_is_not_found_is_sent_again(tmp_path: Path) -> None:
    with WebServer(202, b"", holds=set(), stores=False) as server:
        case = Case(tmp_path, web(server))
        for _ in range(1 + LOOKS):
            assert case.advance().state == "waiting"
        assert (len(server.requests), len(server.questions)) == (1, LOOKS)
        assert "asked for the object, it does not have it" in case.delivery.reason
        server.body = naming
        assert case.advance().state == "delivered"
    assert len(server.requests) == 2


def test_where_it_cannot_be_asked_the_delivery_is_unconfirmed(tmp_path: Path) -> None:
    with WebServer(204, b"") as server:
        case = Case(tmp_path, web(server))
        end = case.until(UNCONFIRMED)
        assert len(server.requests) == 1
        assert "names no object" in end.reason
        assert end_of(case.revision) == (
            *(State.FAILED, UNCONFIRMED),
            "Sent to pacs, which did not confirm it by name.",
        )
        # A person's retry asks first; found there by now, it is not sent again.
        case.fail()
        server.holds = {case.uid}
        run_again(case.spool, KEY)
        assert case.advance().state == "delivered"
        assert len(server.requests) == 1


def test_a_retry_sends_what_is_not_there_and_where_nobody_can_be_asked(tmp_path: Path) -> None:
    with WebServer(200, b"") as server:
        case = Case(tmp_path, web(server))
        case.until(UNCONFIRMED)
        for requests, holds in ((2, None), (3, set[str]())):
            case.fail()
            run_again(case.spool, KEY)
            server.holds, server.stores = holds, False
            questions = len(server.questions)
            assert case.advance().state == "waiting"
            assert (len(server.requests), len(server.questions) > questions) == (requests, True)
            server.holds = None
            assert case.until(UNCONFIRMED).attempts == 1


def test_retention_keeps_what_is_unconfirmed(tmp_path: Path) -> None:
    with WebServer(200, b"") as server:
        case = Case(tmp_path, web(server))
        case.until(UNCONFIRMED)
    case.fail()
    case.spool.unmark(KEY)
    assert delete_delivered(case.spool, 0.0, now=4e9) == []
    case.revision.write_state(state=State.DELIVERED)
    assert delete_delivered(case.spool, 0.0, now=4e9) == [KEY]


def test_a_server_that_does_not_answer_the_question_is_asked_again(tmp_path: Path) -> None:
    with WebServer(200, b"", holds=set()) as server:
        case = Case(tmp_path, web(server))
        case.advance()
        port = server.server.server_port
    assert "could not be asked" in case.advance().reason
    with WebServer(200, b"", holds={case.uid}, port=port):
        assert case.until("delivered").attempts == 1


def test_patience_with_a_server_that_never_answers_the_question_ends_unconfirmed(tmp_path: Path) -> None:
    retry = {"first_seconds": 0.01, "longest_seconds": 0.01, "give_up_after_hours": 0.03 / 3600}
    with WebServer(200, b"") as server:
        case = Case(tmp_path, web(server) | {"retry": retry})
        case.advance()
    assert case.until(UNCONFIRMED, "failed", "delivered").state == UNCONFIRMED


def test_a_web_page_is_never_a_delivery_even_where_the_object_is_found(tmp_path: Path) -> None:
    with WebServer(200, b"<html>log in</html>", content_type="text/html", holds=set()) as server:
        case = Case(tmp_path, web(server))
        for _ in range(3):
            assert case.advance().state == "waiting"
        assert (len(server.requests), server.questions) == (3, [])


# I have it already


def failed(reason: int) -> Callable[[str], bytes]:
    return lambda uid: naming(failed=((uid, reason),))


def test_a_duplicate_at_first_sight_is_asked_about(tmp_path: Path) -> None:
    with WebServer(409, failed(0x0111), holds=set()) as server:
        case = Case(tmp_path, web(server))
        assert dict(case.advance().unsure) == {SEG: "has_it"}
        assert case.advance().state == "delivered"
    assert (len(server.requests), len(server.questions)) == (1, 1)


def test_a_duplicate_that_cannot_be_asked_about_is_unconfirmed(tmp_path: Path) -> None:
    with WebServer(409, failed(0xB00E)) as server:
        case = Case(tmp_path, web(server))
        assert case.until(UNCONFIRMED).attempts == 1
    assert len(server.requests) == 1


def test_a_duplicate_of_what_this_node_brought_is_delivered(tmp_path: Path) -> None:
    with WebServer(200, b"", holds=set(), stores=False) as server:  # it says nothing, and stores late
        case = Case(tmp_path, web(server))
        for _ in range(1 + LOOKS):
            case.advance()
        server.status, server.body = 409, failed(0x0111)
        questions = len(server.questions)
        assert case.advance().state == "delivered"
        assert len(server.questions) == questions


def test_duplicate_that_is_not_found_is_never_delivered(tmp_path: Path) -> None:
    retry = {"first_seconds": 0.01, "longest_seconds": 0.01, "give_up_after_hours": 0.03 / 3600}
    with WebServer(409, failed(0x0111), holds=set(), stores=False) as server:
        case = Case(tmp_path, web(server) | {"retry": retry})
        for _ in range(40):
            if (end := case.advance()).state != "waiting":
                break
        assert end.state == "failed"
        assert len(server.requests) > 1


class Pacs:
    """A storage SCP that answers as it is told, and C-FIND from what it holds."""

    def __init__(self, status: int, *, finds: bool = True, stores: bool = True, names: str = "") -> None:
        self.status, self.comment = status, ""
        self.holds: set[str] = set()
        self.asked: list[str] = []
        self.sent = 0
        self.port = free_port()
        self._stores, self._names = stores, names
        self._ae = AE("PACS")
        self._ae.add_supported_context(SegmentationStorage)
        if finds:
            self._ae.add_supported_context(STUDY_ROOT_FIND)

    @contextmanager
    def running(self) -> Iterator[dict[str, Any]]:
        """Listen; the settings of the destination."""
        handlers = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_PDU_SENT, lambda event: None),
        ]
        server = self._ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        assert server is not None
        try:
            yield {"kind": "dicom", "ae_title": "PACS", "host": "127.0.0.1", "port": self.port}
        finally:
            server.shutdown()

    def _store(self, event: evt.Event) -> Dataset:
        self.sent += 1
        if self._stores:
            self.holds.add(str(event.request.AffectedSOPInstanceUID))
        answer = Dataset()
        answer.Status = self.status
        if self.comment:
            answer.ErrorComment = self.comment
        if self._names:
            answer.AffectedSOPInstanceUID = self._names
        return answer

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        uid = str(event.identifier.SOPInstanceUID)
        self.asked.append(uid)
        if uid in self.holds:
            match = Dataset()
            match.QueryRetrieveLevel, match.SOPInstanceUID = "IMAGE", uid
            yield 0xFF00, match
        yield 0x0000, None


def test_0x0111_at_first_sight_is_asked_by_c_find(tmp_path: Path) -> None:
    pacs = Pacs(0x0111)
    with pacs.running() as destination:
        case = Case(tmp_path, destination)
        assert case.until("delivered").attempts == 1
        assert (pacs.sent, pacs.asked) == (1, [case.uid])


def test_0x0111_without_c_find_is_unconfirmed_and_with_a_lost_answer_before_it_delivered(tmp_path: Path) -> None:
    pacs = Pacs(0x0111, finds=False)
    with pacs.running() as destination:
        case = Case(tmp_path, destination)
        assert case.until(UNCONFIRMED).attempts == 1
        # As a try leaves it whose answer was lost.
        case.revision.write_delivery(NAME, replace(Delivery((SEG,)), attempts=1, reached=(SEG,)))
        assert case.advance().state == "delivered"


def test_0x0110_is_asked_about_before_the_next_try(tmp_path: Path) -> None:
    pacs = Pacs(0x0110)
    with pacs.running() as destination:
        case = Case(tmp_path, destination)
        assert case.advance().state == "waiting"
        assert case.advance().state == "delivered"
        assert (pacs.sent, pacs.asked) == (1, [case.uid])


def test_0x0110_of_what_is_not_there_is_tried_again(tmp_path: Path) -> None:
    for finds in (True, False):
        pacs = Pacs(0x0110, finds=finds, stores=False)
        with pacs.running() as destination:
            (folder := tmp_path / str(finds)).mkdir()
            case = Case(folder, destination)
            for _ in range(3):
                assert case.advance().state == "waiting"
            assert pacs.sent == 3
            pacs.status = 0x0000
            assert case.advance().state == "delivered"


def test_success_for_another_object_is_asked_about(tmp_path: Path) -> None:
    pacs = Pacs(0x0000, names="1.2.3.4.5", stores=False)
    with pacs.running() as destination:
        case = Case(tmp_path, destination)
        assert case.advance().reason == "the destination's answer names another object"
        pacs.holds.add(case.uid)
        assert case.advance().state == "delivered"
        assert pacs.sent == 1


# The peer's words, and older versions


def test_an_error_comment_stands_in_the_audit_trail_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "segnode")
    pacs = Pacs(0xC000)
    pacs.comment = "no such patient: CANARY"
    with pacs.running() as destination:
        case = Case(tmp_path, destination, audit_file="audit.xml")
        assert case.advance().state == "refused"
    lines = (tmp_path / "audit.xml").read_text().splitlines()
    last = fromstring(lines[-1])  # noqa: S314 - the node's own trail
    assert last.findtext("EventIdentification/EventOutcomeDescription") == pacs.comment
    assert "CANARY" not in json.dumps(case.delivery.to_json())
    assert "destination_commented" in caplog.messages
    assert not any("CANARY" in str(vars(record)) for record in caplog.records if record.name == "segnode")


KEYS_OF_BEFORE = {
    "state",
    "attempts",
    "reason",
    "files",
    "sent",
    "rounds",
    "transaction",
    "looked",
    "waited_s",
    "claim",
}


def test_an_older_version_reads_what_is_written(tmp_path: Path) -> None:
    with WebServer(200, b"") as server:
        case = Case(tmp_path, web(server))
        end = case.until(UNCONFIRMED)
    case.fail()
    content = end.to_json()
    # It needs these, has no list of states of deliveries, and keeps all other keys as they are.
    assert {"state", "attempts", "reason", "files", "sent"} <= content.keys()
    assert content.keys() - KEYS_OF_BEFORE == {"unsure", "reached"}
    state = case.revision.read_state().to_json()
    assert (state["state"], state["reason"]["code"]) == ("failed", "unconfirmed")


def test_a_record_of_an_older_version_is_gone_on_with(tmp_path: Path) -> None:
    with WebServer(200, b"", holds=set()) as server:
        case = Case(tmp_path, web(server))
        old = {"state": "waiting", "attempts": 3, "reason": "x", "files": [SEG], "sent": []}
        case.revision.write_delivery(NAME, Delivery.from_json(old))
        assert case.advance().attempts == 4
        assert case.advance().state == "delivered"
