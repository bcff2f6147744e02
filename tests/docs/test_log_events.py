"""Names of log events follow one grammar, and the page of renamed ones is current."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_io.spool.records import ARRIVED, PARTIAL, UNCONFIRMED, WITHDRAWN, State

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations" / "log-events.md").read_text(encoding="utf-8")
RENAMED = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|$", PAGE, re.MULTILINE))
ROOMS = ("app", "core", "dicom_io", "operators", "runtime", "segmentation", "services")
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
IRREGULAR = {
    "begun",
    "written",
    "lost",
    "sent",
    "read",
    "set",
    "run",
    "overridden",
    "taken",
    "found",
    "shown",
    "withdrawn",
}
ENDS = {
    "study_": [state for state in State if state.is_final],
    "delivery_": [*ARRIVED, PARTIAL, UNCONFIRMED, WITHDRAWN, "refused", "failed"],
    "object_": ["repeated", "replaced", "set_aside"],
    "_timed_out": ["study", "job"],
}
"""Values of the placeholder of a name that is put together, by its fixed part."""
FOR_A_PERSON = {"study %s failed: %s\n%s", "failed: %s\n%s"}
"""Messages of a command at a terminal, with the stack of a defect."""


def _texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        fixed = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        yield from (end + fixed if fixed.startswith("_") else fixed + end for end in ENDS[fixed])
    elif isinstance(node, ast.Call):
        yield from (text for argument in node.args for text in _texts(argument))


def _is_log(call: ast.Call) -> bool:
    return ast.unparse(call.func).rpartition(".")[0] in (
        "_log",
        "logger",
        "EventLog()",
        "logging.getLogger(NAME)",
        "logging.getLogger('segnode')",
    )


def logged_in(source: str) -> set[str]:
    """Names of the events that a module's source logs."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _is_log(node) and ast.unparse(node.func).rsplit(".", 1)[1] in LEVELS:
            names |= set(_texts(node.args[0]))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "_say" and len(node.args) == 2:
            names |= set(_texts(node.args[1]))
    return {name for name in names if name}


def follows_the_grammar(name: str) -> bool:
    """Tell if a name is a noun and a verb in the past tense, with or without "not" before the verb."""
    if re.fullmatch(r"[a-z]+(_[a-z]+)+", name) is None:
        return False
    words = name.split("_")
    return any(word.endswith("ed") or word in IRREGULAR for word in words[1:]) and words[0] != "not"


def events() -> dict[str, str]:
    """Module by the event that it logs."""
    modules = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return {name: str(path.relative_to(ROOT)) for path in modules for name in logged_in(path.read_text())}


def test_every_event_follows_the_grammar() -> None:
    found = events()
    assert {"study_started", "object_refused", "lease_lost", "study_delivered", "job_timed_out"} <= set(found)
    assert {name: module for name, module in found.items() if not follows_the_grammar(name)}.keys() <= FOR_A_PERSON


def test_no_event_has_its_old_name_and_every_new_one_is_logged() -> None:
    found = set(events()) | {"library_message_omitted", "delivery_postponed", "delivery_handed_over"}
    assert len(RENAMED) > 30
    assert set(RENAMED) & found == set()
    assert set(RENAMED.values()) - found == set()


def test_fields_are_keywords() -> None:
    """`EventLog` would take ``extra=`` of the standard library for a field of that name."""
    modules = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    calls = [(path, node) for path in modules for node in ast.walk(ast.parse(path.read_text()))]
    found = [path for path, node in calls if isinstance(node, ast.Call) and _is_log(node) and _has_extra(node)]
    assert {path.name for path in found} <= {"logs.py"}


def _has_extra(call: ast.Call) -> bool:
    return any(keyword.arg == "extra" for keyword in call.keywords)


@pytest.mark.parametrize("name", ["runs", "not_deleted", "cannot_start", "study_running", "Study_ended"])
def test_other_names_are_noticed(name: str) -> None:
    assert not follows_the_grammar(name)
