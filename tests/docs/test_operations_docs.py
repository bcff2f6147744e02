"""The pages for operators, against the code."""

import re
from pathlib import Path

import pytest

from app.node.status_server import StatusCollector
from app.workflow.intake import IMAGES_MISSING
from core.report import _CODES
from dicom_io.conformance import TABLES, names_of_tables, with_tables
from dicom_io.delivery.answer import DUPLICATES, PROCESSING_FAILURE, TRANSIENT_STATUSES
from dicom_io.reception.server import Rejection
from dicom_io.results.notice_image import TITLES
from dicom_io.spool.records import NO_DESTINATION, SUPERSEDED, State
from dicom_io.spool.spool import Spool

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONFORMANCE = (DOCS / "conformance.md").read_text(encoding="utf-8")
RECEPTION = (DOCS / "reception.md").read_text(encoding="utf-8")
WATCHING = (DOCS / "operations" / "watching.md").read_text(encoding="utf-8")
STUDIES = (DOCS / "operations" / "studies-that-failed.md").read_text(encoding="utf-8")
NOTICES = (DOCS / "operations" / "urgent-studies-and-notices.md").read_text(encoding="utf-8")


def test_the_conformance_statement_is_current() -> None:
    assert with_tables(CONFORMANCE) == CONFORMANCE, "run: python -m dicom_io.conformance"


def test_every_table_is_on_the_page_once() -> None:
    assert sorted(names_of_tables(CONFORMANCE)) == sorted(TABLES)


def test_a_stale_table_is_noticed() -> None:
    stale = CONFORMANCE.replace("| CT Image Storage |", "| CT Storage |")
    assert stale != CONFORMANCE
    assert with_tables(stale) == CONFORMANCE


def test_the_statuses_that_are_tried_again_are_all_named() -> None:
    rows = re.findall(r"^\| (0x[0-9A-F]{4}) \|.*\| tried again \|$", TABLES["answers"](), re.MULTILINE)
    assert {int(code, 16) for code in rows} | set(range(0xA700, 0xA800)) == TRANSIENT_STATUSES


def test_the_statuses_after_which_a_destination_is_asked_are_named() -> None:
    rows = re.findall(r"^\| (0x[0-9A-F]{4}) \|.*\| .*asked whether.*\|$", TABLES["answers"](), re.MULTILINE)
    assert {int(code, 16) for code in rows} == {PROCESSING_FAILURE, min(DUPLICATES)}


def test_every_metric_is_explained(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.prepare()
    for family in StatusCollector(spool).collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        assert f"`{name}" in WATCHING, name


@pytest.mark.parametrize("state", State)
def test_every_state_is_in_the_picture(state: State) -> None:
    picture = (DOCS / "states.md").read_text(encoding="utf-8").split("```mermaid\n")[1].split("```")[0]
    assert re.search(rf"\b{state}\b", picture)


@pytest.mark.parametrize("state", State)
def test_every_state_is_explained(state: State) -> None:
    assert re.search(rf"^\| .*`{state}`.* \| ", STUDIES, re.MULTILINE)


def test_every_code_of_the_node_has_its_remedy() -> None:
    modules = ("study_flow.py", "segment_step.py", "deliveries.py", "intake.py")
    sources = "".join((ROOT / "app" / "workflow" / name).read_text() for name in modules)
    codes = set(re.findall(r"""(?:make_outcome\("\w+", |State\.FAILED, )"(\w+)\"""", sources)) | set(_CODES.values())
    codes |= {NO_DESTINATION, SUPERSEDED, IMAGES_MISSING}
    assert {"no_route", "worker_died", "internal_error", "not_delivered"} <= codes
    for code in codes:
        assert f"| `{code}` |" in STUDIES, code


def test_every_reason_to_turn_a_peer_away_is_explained() -> None:
    server = (ROOT / "dicom_io" / "reception" / "server.py").read_text()
    said = set(re.findall(r'_log_rejection\(address, [^)]*?"(\w+)"(?: if .* else "(\w+)")?', server))
    reasons = {one.name.lower() for one in Rejection if one is not Rejection.TOO_MANY}
    reasons |= {reason for pair in said for reason in pair if reason}
    assert {"calling_ae", "too_many_from_address", "too_many_associations", "malformed_request"} <= reasons
    for reason in reasons:
        assert f"`{reason}`" in RECEPTION, reason


def test_every_kind_of_notice_is_named() -> None:
    for kind in TITLES:
        assert kind in NOTICES
