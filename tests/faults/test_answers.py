"""Faults of an answer: a destination that says something else than that it stored our object."""

import gzip
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dicom_io.delivery.web import MAX_ANSWER_BYTES
from tests.dicom_io.delivery.test_stow_answer import ENTITIES, OTHER, PAGE, XML, xml
from tests.faults.table import FAULT
from tests.support.delivery_case import NAME, Case, Pacs
from tests.support.web_server import WebServer, naming

ROUNDS = 8
"""Tries after which a delivery that could end has ended; each waits for nothing."""


@dataclass(frozen=True)
class AnswerFault:
    """One row: the destination, and the state of its delivery after `ROUNDS` tries."""

    name: str
    expected: str
    make: Callable[[], AbstractContextManager[dict[str, Any]]]


def web(*arguments: Any, **settings: Any) -> Callable[[], AbstractContextManager[dict[str, Any]]]:
    """A DICOMweb server that answers so."""

    @contextmanager
    def running() -> Any:
        with WebServer(*arguments, **settings) as server:
            yield {"kind": "dicomweb", "url": server.url}

    return running


def pacs(*arguments: Any, **settings: Any) -> Callable[[], AbstractContextManager[dict[str, Any]]]:
    """A storage SCP that answers so."""
    return lambda: Pacs(*arguments, **settings).running()


def failed(reason: int) -> Callable[[str], bytes]:
    return lambda uid: naming(failed=((uid, reason),))


def found() -> dict[str, Any]:
    return {"holds": set()}


UNASKED, AGAIN, DELIVERED, REFUSED = "unconfirmed", "waiting", "delivered", "refused"
PARTS = b"--b\r\nContent-Type: text/html\r\n\r\n<html></html>\r\n--b--\r\n"
ROWS = (
    AnswerFault("STOW: empty 200, no QIDO-RS", UNASKED, web(200, b"")),
    AnswerFault("STOW: empty 202, no QIDO-RS", UNASKED, web(202, b"")),
    AnswerFault("STOW: 204, no QIDO-RS", UNASKED, web(204, b"")),
    AnswerFault("STOW: empty 200, found by QIDO-RS", DELIVERED, web(200, b"", **found())),
    AnswerFault("STOW: empty 200, not found by QIDO-RS", AGAIN, web(200, b"", holds=set(), stores=False)),
    AnswerFault("STOW: another object is named", UNASKED, web(200, naming(OTHER))),
    AnswerFault("STOW: a web page of a login", AGAIN, web(200, PAGE, content_type="text/html", **found())),
    AnswerFault("STOW: a web page labelled JSON", AGAIN, web(200, PAGE, **found())),
    AnswerFault(
        "STOW: a web page in a multipart", UNASKED, web(200, PARTS, content_type="multipart/related; boundary=b")
    ),
    AnswerFault("STOW: a redirect to a login", AGAIN, web(302, b"", headers={"Location": "/login"}, **found())),
    AnswerFault("STOW: broken JSON", UNASKED, web(200, b'{"00081199":')),
    AnswerFault("STOW: broken XML", UNASKED, web(200, b"<NativeDicomModel>", content_type=XML)),
    AnswerFault("STOW: XML with entities", UNASKED, web(200, xml("00081199", "&b;", head=ENTITIES), content_type=XML)),
    AnswerFault("STOW: an answer without end", UNASKED, web(200, b" " * (MAX_ANSWER_BYTES + 1))),
    AnswerFault("STOW: broken gzip", UNASKED, web(200, b"x", headers={"Content-Encoding": "gzip"})),
    AnswerFault(
        "STOW: gzip of 64 MiB",
        UNASKED,
        web(200, gzip.compress(bytes(64 << 20)), headers={"Content-Encoding": "gzip"}),
    ),
    AnswerFault("STOW: the object in Failed SOP Sequence of a 200", REFUSED, web(200, failed(0xC000))),
    AnswerFault("STOW: out of resources in a 202", AGAIN, web(202, failed(0xA700))),
    AnswerFault("STOW: processing failure of what it stored", DELIVERED, web(409, failed(0x0110), **found())),
    AnswerFault("STOW: 409, has it already, found by QIDO-RS", DELIVERED, web(409, failed(0x0111), **found())),
    AnswerFault("STOW: 409, has it already, no QIDO-RS", UNASKED, web(409, failed(0x0111))),
    AnswerFault("STOW: 409, has it already, not found", AGAIN, web(409, failed(0x0111), holds=set(), stores=False)),
    AnswerFault("C-STORE: 0x0111, found by C-FIND", DELIVERED, pacs(0x0111)),
    AnswerFault("C-STORE: 0x0111, no C-FIND", UNASKED, pacs(0x0111, finds=False)),
    AnswerFault("C-STORE: 0x0111, not found", AGAIN, pacs(0x0111, stores=False)),
    AnswerFault("C-STORE: 0x0110 of what it stored", DELIVERED, pacs(0x0110)),
    AnswerFault("C-STORE: 0x0110 of what it did not store", AGAIN, pacs(0x0110, stores=False)),
    AnswerFault("C-STORE: success for another object, not found", AGAIN, pacs(0, stores=False, names=OTHER)),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: re.sub(r"\W+", "-", row.name))
def test_answer(row: AnswerFault, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    record_property(FAULT, row.name)
    with row.make() as destination:
        case = Case(tmp_path, destination)
        for _ in range(ROUNDS):
            if case.delivery.state == AGAIN:
                case.advance()
    end = case.delivery
    assert end.state == row.expected, end
    assert end.reason or end.state == DELIVERED
    assert NAME not in end.sent


def test_no_two_rows_have_one_name() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
