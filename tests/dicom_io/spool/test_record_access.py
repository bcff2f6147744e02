"""Nothing but `dicom_io.spool.records` knows the keys of the spool's records."""

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from dicom_io.spool.records import (
    Delivery,
    Outcome,
    Plan,
    PlannedDelivery,
    RecordedClaim,
    RecordedReason,
    RevisionState,
)
from tests.test_house import ROOT, imported_modules, sources

RECORDS = (RevisionState, Outcome, Delivery, RecordedReason, RecordedClaim, Plan, PlannedDelivery)
KEYS = {field.name for record in RECORDS for field in fields(record)} - {"unknown"}
LOOKUPS = {"get", "pop", "setdefault"}
FILES = {"state.json", "outcome.json", "deliveries"}
WRITER, FOLDER = "dicom_io/spool/records.py", "dicom_io/spool/revision.py"


def knowing(path: Path) -> bool:
    """Return whether a module may have a record in its hands."""
    name = path.relative_to(ROOT).as_posix()
    rooms = ("app/workflow/", "app/node/", "dicom_io/spool/")
    return name.startswith(rooms) or any(one.startswith("dicom_io.spool") for one in imported_modules(path))


def keys_used(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and key of each access by a key that records have."""
    for node in ast.walk(tree):
        named: list[ast.expr | None] = []
        if isinstance(node, ast.Subscript):
            named = [node.slice]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOOKUPS:
            named = [*node.args[:1]]
        elif isinstance(node, ast.Dict) and None in node.keys:
            named = node.keys
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            named = [node.left]
        for key in named:
            if isinstance(key, ast.Constant) and key.value in KEYS:
                yield node.lineno, str(key.value)


def test_no_module_takes_a_record_by_its_keys() -> None:
    places = [
        f"{path.relative_to(ROOT)}:{line} {key}"
        for path in sources()
        if path != ROOT / WRITER and knowing(path)
        for line, key in keys_used(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert places == []


def test_no_module_but_the_revision_opens_the_files_of_records() -> None:
    places = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value}"
        for path in sources()
        if path != ROOT / FOLDER and knowing(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        for node in [node.right]
        if isinstance(node, ast.Constant) and node.value in FILES
    ]
    assert places == []


@pytest.mark.parametrize(
    "source",
    [
        'revision.read_state()["run"]',
        'state.get("overtimes", 0)',
        'delivery.pop("transaction")',
        'again = {**delivery, "state": "waiting"}',
        '"claim" in state',
    ],
)
def test_an_access_by_key_is_found(source: str) -> None:
    assert len(list(keys_used(ast.parse(source)))) == 1


@pytest.mark.parametrize("source", ["state.run", 'spool.study(key)["called_ae"]', 'extra = {"reason": reason}'])
def test_access_that_is_not_by_key_is_left_alone(source: str) -> None:
    assert list(keys_used(ast.parse(source))) == []
