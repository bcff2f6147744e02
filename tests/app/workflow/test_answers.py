"""A delivery under a destination's answers: asked, delivered, tried again, or `unconfirmed`."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from app.cli.main import cli
from app.workflow.deliveries import end_of
from app.workflow.delivery_step import LOOKS
from dicom_io.spool.records import UNCONFIRMED, Delivery, State
from dicom_io.spool.retention import delete_delivered
from dicom_io.spool.study_actions import run_again
from tests.support.delivery_case import KEY, NAME, SEG, Case, Pacs, web
from tests.support.web_server import WebServer, naming

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


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (200, b"", UNCONFIRMED),
        (200, b"{}", UNCONFIRMED),
        *((status, b"", UNCONFIRMED) for status in (400, 401, 403, 404, 405, 406, 501)),
        (200, b"[]", "waiting"),
        (204, b"", "waiting"),
        (200, b"<html>log in</html>", "waiting"),
        (200, b"[{", "waiting"),
        (503, b"", "waiting"),
    ],
)
def test_search_without_an_answer_is_no_proof_either_way(tmp_path: Path, status: int, body: bytes, state: str) -> None:
    with WebServer(200, b"", search=(status, body)) as server:
        case = Case(tmp_path, web(server))
        case.advance()
        assert case.advance().state == state
        assert len(server.requests) == 1


@pytest.mark.parametrize("page", [b"<html>log in</html>", b"", b"{}", b"log in", b"["])
def test_404_and_a_page_in_place_of_studies_is_no_answer(tmp_path: Path, page: bytes) -> None:
    with WebServer(200, b"", search_of_studies=(200, page)) as server:
        case = Case(tmp_path, web(server))
        case.advance()
        assert case.advance().state == UNCONFIRMED
        assert len(server.questions) == 2


def test_retention_keeps_what_is_unconfirmed(tmp_path: Path) -> None:
    with WebServer(200, b"") as server:
        case = Case(tmp_path, web(server))
        case.until(UNCONFIRMED)
    case.fail()
    case.spool.unmark(KEY)
    assert delete_delivered(case.spool, 0.0, now=4e9) == []
    case.revision.write_state(state=State.DELIVERED)
    assert delete_delivered(case.spool, 0.0, now=4e9) == [KEY]


def test_list_and_status_say_unconfirmed(tmp_path: Path) -> None:
    with WebServer(200, b"") as server:
        case = Case(tmp_path, web(server))
        case.until(UNCONFIRMED)
    case.fail()
    options = ["--config", str(tmp_path / "node.yaml")]
    listed = CliRunner().invoke(cli, ["studies", "list", *options])
    assert listed.stdout.split()[-2:] == ["failed", "unconfirmed"]
    status = CliRunner().invoke(cli, ["status", *options])
    assert "studies: 1 failed\n  1 of them unconfirmed\n" in status.stdout
    assert json.loads(CliRunner().invoke(cli, ["status", *options, "--json"]).stdout)["unconfirmed"] == 1


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


SHORT = {"first_seconds": 0.01, "longest_seconds": 0.01, "give_up_after_hours": 0.03 / 3600}


@pytest.mark.parametrize("stores", [True, False])
def test_0x0110_on_the_last_try_is_asked_about(tmp_path: Path, *, stores: bool) -> None:
    pacs = Pacs(0x0110, stores=stores)
    with pacs.running() as destination:
        case = Case(tmp_path, {**destination, "retry": SHORT})
        # As the last try before this one leaves it.
        case.revision.write_delivery(NAME, replace(case.delivery, attempts=9, tried_since=1.0))
        assert case.advance().state == "waiting"
        end = case.advance()
    assert (end.state, pacs.sent, pacs.asked) == ("delivered" if stores else "failed", 1, [case.uid])
    assert ("0x0110" in end.reason, dict(end.unsure)) == (not stores, {} if stores else {SEG: "doubtful"})


def test_patience_is_not_used_up_by_waits_that_were_ended_early(tmp_path: Path) -> None:
    retry = {"first_seconds": 600, "longest_seconds": 3600, "give_up_after_hours": 1}
    pacs = Pacs(0xA700)
    with pacs.running() as destination:
        case = Case(tmp_path, {**destination, "retry": retry})
        for _ in range(6):
            assert case.advance().state == "waiting"
        since = case.delivery.tried_since
        assert since is not None
        case.revision.write_delivery(NAME, replace(case.delivery, tried_since=since - 3601))
        assert case.advance().state == "failed"
        # One that an older version began is judged by its waits as planned.
        case.revision.write_delivery(NAME, replace(case.delivery, state="waiting", tried_since=None))
        assert case.advance().state == "failed"


def test_commitment_is_waited_for_by_the_clock_where_waits_were_ended_early(tmp_path: Path) -> None:
    with Pacs(0x0000).running() as destination:
        case = Case(tmp_path, {**destination, "commitment": {"deadline_seconds": 60}})
        asked = replace(case.delivery, state="committing", sent=(SEG,), transaction="2.25.1", waited_s=60.0)
        case.revision.write_delivery(NAME, replace(asked, tried_since=time.time()))
        assert case.advance().state == "committing"
        for since in (time.time() - 61, time.time() + 3600, None):  # a clock that was set back does not tell
            case.revision.write_delivery(NAME, replace(asked, tried_since=since))
            end = case.advance()
            assert (end.state, end.reason) == ("failed", "the destination has not confirmed storage within 60 s")
        case.revision.write_delivery(NAME, replace(asked, waited_s=0.0, tried_since=time.time() - 86400))
        assert case.advance().state == "committing"


def test_a_connection_that_was_refused_brought_nothing(tmp_path: Path) -> None:
    pacs = Pacs(0x0111)
    (dicom := tmp_path / "dicom").mkdir()
    (by_web := tmp_path / "web").mkdir()
    with pacs.running() as destination:
        pass
    case = Case(dicom, destination)
    assert (case.advance().state, case.delivery.reached) == ("waiting", ())
    with Pacs.running(pacs):
        pacs.holds = set()
        pacs._stores = False
        assert (case.advance().state, dict(case.delivery.unsure)) == ("waiting", {SEG: "has_it"})
    with WebServer() as server:
        settings = web(server)
    case = Case(by_web, settings)
    assert (case.advance().state, case.delivery.reached, case.delivery.attempts) == ("waiting", (), 1)


def outcomes(trail: Path) -> list[tuple[str, str]]:
    """Outcome and description of each transfer that has ended."""
    ended = []
    for line in trail.read_text().splitlines():
        message = fromstring(line)  # noqa: S314 - the node's own trail
        head, event = message.find("EventIdentification"), message.find("EventIdentification/EventID")
        assert head is not None
        assert event is not None
        if event.attrib["csd-code"] == "110104":
            ended.append((head.attrib["EventOutcomeIndicator"], head.findtext("EventOutcomeDescription") or ""))
    return ended


def test_an_object_found_there_is_audited_as_transferred(tmp_path: Path) -> None:
    pacs = Pacs(0x0110)
    with pacs.running() as destination:
        case = Case(tmp_path, destination, audit_file="audit.xml")
        case.until("delivered")
        assert outcomes(tmp_path / "audit.xml") == [("8", ""), ("0", "")]
        pacs.status = 0x0111
        case.revision.write_delivery(NAME, replace(Delivery((SEG,)), attempts=1, reached=(SEG,)))
        assert case.advance().state == "delivered"
    assert outcomes(tmp_path / "audit.xml")[2:] == [("0", "")]


@pytest.mark.parametrize(("status", "state"), [(0x0112, "failed"), (0x0110, "committing")])
def test_comment_on_a_commitment_request_stands_in_the_audit_trail(
    tmp_path: Path, status: int, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    pacs = Pacs(0x0000)
    answer = Dataset()
    answer.Status, answer.ErrorComment = status, "CANARY"
    pacs.commits = answer
    with pacs.running() as destination:
        case = Case(tmp_path, {**destination, "commitment": {}}, audit_file="audit.xml")
        assert case.advance().state == state
    assert outcomes(tmp_path / "audit.xml") == [("0", ""), ("8", "CANARY")]
    assert "destination_commented" in caplog.messages
    assert "CANARY" not in json.dumps(case.delivery.to_json())


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
    assert content.keys() - KEYS_OF_BEFORE == {"unsure", "reached", "tried_since"}
    state = case.revision.read_state().to_json()
    assert (state["state"], state["reason"]["code"]) == ("failed", "unconfirmed")


def test_a_record_of_an_older_version_is_gone_on_with(tmp_path: Path) -> None:
    with WebServer(200, b"", holds=set()) as server:
        case = Case(tmp_path, web(server))
        old = {"state": "waiting", "attempts": 3, "reason": "x", "files": [SEG], "sent": []}
        case.revision.write_delivery(NAME, Delivery.from_json(old))
        assert case.advance().attempts == 4
        assert case.advance().state == "delivered"


def test_0x0111_is_asked_for_in_the_transaction_where_commitment_is_asked_anyway(tmp_path: Path) -> None:
    pacs = Pacs(0x0111)
    with pacs.running() as destination:
        case = Case(tmp_path, {**destination, "commitment": {}})
        end = case.advance()
    assert (end.sent, pacs.asked) == ((SEG,), [])
    # This one has no such service, and so cannot confirm it.
    assert (end.state, "does not accept" in end.reason) == ("failed", True)


def test_note_of_what_an_older_version_has_sent_since_changes_nothing(tmp_path: Path) -> None:
    retry = {"first_seconds": 0.01, "longest_seconds": 0.01, "give_up_after_hours": 0.03 / 3600}
    with WebServer(200, b"", holds=set(), stores=False) as server:
        case = Case(tmp_path, {**web(server), "retry": retry})
        stale = {"gone.dcm": "unnamed"}
        case.revision.write_delivery(NAME, replace(case.delivery, unsure=stale, asked=2))
        for _ in range(40):
            if (end := case.advance()).state != "waiting":
                break
    assert (end.state, dict(end.unsure)) == ("failed", stale)
