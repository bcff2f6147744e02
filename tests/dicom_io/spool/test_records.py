"""Records as they lie on disk: what other versions wrote, what was damaged, and what is written back."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dicom_io.spool.isolation import DAMAGE
from dicom_io.spool.records import (
    Delivery,
    Outcome,
    RecordedClaim,
    RecordedReason,
    RevisionState,
    State,
    read_record,
    write_record,
)
from dicom_io.spool.revision import Revision

SINCE = "2026-01-01T00:00:00Z"
STATE = {
    "state": "failed",
    "since": SINCE,
    "run": 3,
    "reason": {"code": "not_delivered", "message": "Not delivered to pacs."},
    "notes": ["Images were still coming."],
    "warnings": [{"code": "of_a_later_version", "message": "words", "series": "1.2.3", "model": None}],
    "priority": "stat",
    "overtimes": 2,
    "gave_way": 4,
    "claim": {"by": "ct-1", "number": 7},
    "plan": {
        "run": 3,
        "destinations": {"pacs": {"models": ["liver"], "notices": ["refused"], "outputs": ["seg"]}},
    },
    "choices": {
        "liver": {
            "package": "0" * 64,
            "profile": "equal",
            "backend": "openvino",
            "version": "2026.4.1",
            "precision": "float32",
            "as_before": False,
        }
    },
}
OUTCOME = {"outcome": "refused", "reason": {"code": "x", "message": "words"}, "files": {"a": ["1/a.dcm"], "b": []}}
DELIVERY = {
    "state": "committing",
    "attempts": 4,
    "reason": "no report",
    "files": ["1/a.dcm", "1/b.dcm"],
    "sent": ["1/a.dcm"],
    "rounds": 1,
    "transaction": "2.25.1",
    "looked": 0,
    "waited_s": 0.0,
    "claim": {"by": "mr-1", "number": 2},
}
WHOLE = [(RevisionState, STATE), (Outcome, OUTCOME), (Delivery, DELIVERY)]
EARLIER = [
    (RevisionState, {"state": "waiting", "since": SINCE, "run": 0, "reason": None}),
    (Outcome, {"outcome": "segmented"}),
    (Delivery, {"state": "waiting", "attempts": 0, "reason": "", "files": ["a"], "sent": []}),
]
LATER: dict[str, Any] = {"later": {"deep": [1, None]}, "unknown": "a key like any other"}
NAMES = ["state", "outcome", "delivery"]


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def again(kind: type[RevisionState | Outcome | Delivery], path: Path) -> object:
    """Return the text on disk after a record was read and written."""
    write_record(read_record(kind, path), path)
    return json.loads(path.read_text())


@pytest.mark.parametrize(("kind", "content"), WHOLE, ids=NAMES)
def test_record_that_was_read_is_written_back(kind: type[Delivery], content: dict[str, Any], tmp_path: Path) -> None:
    assert again(kind, written(tmp_path / "r.json", content)) == content


@pytest.mark.parametrize(("kind", "content"), WHOLE, ids=NAMES)
def test_keys_of_a_later_version_are_kept(kind: type[Delivery], content: dict[str, Any], tmp_path: Path) -> None:
    later = content | LATER
    for part in ("reason", "claim"):
        if isinstance(content.get(part), dict):
            later[part] = {**content[part], **LATER}
    if "warnings" in content:
        later["warnings"] = [one | LATER for one in content["warnings"]]
    if "plan" in content:
        (planned,) = content["plan"]["destinations"].values()
        later["plan"] = {"run": 3, "destinations": {"pacs": {**planned, **LATER}}, **LATER}
    if "choices" in content:
        later["choices"] = {model: {**one, **LATER} for model, one in content["choices"].items()}
    assert again(kind, written(tmp_path / "r.json", later)) == later


@pytest.mark.parametrize(("kind", "content"), EARLIER, ids=NAMES)
def test_a_file_of_an_earlier_version_may_lack_keys(
    kind: type[Delivery], content: dict[str, Any], tmp_path: Path
) -> None:
    found = again(kind, written(tmp_path / "r.json", content))
    assert isinstance(found, dict)
    assert found | content == found


def test_key_that_an_earlier_version_lacks_has_its_meaning() -> None:
    state, outcome, delivery = (kind.from_json(content) for kind, content in EARLIER)
    assert state == RevisionState(State.WAITING, since=SINCE)
    assert (state.notes, state.priority, state.overtimes, state.claim) == ((), "routine", 0, None)
    assert state.plan is None
    assert outcome == Outcome("segmented", None, {})
    assert delivery == Delivery(("a",))
    assert (delivery.rounds, delivery.transaction, delivery.looked, delivery.claim) == (0, None, 0, None)


def test_a_fresh_record_is_what_an_earlier_version_writes() -> None:
    state = RevisionState.begun(State.RECEIVING).to_json()
    assert state.pop("since") > SINCE
    assert state == {"state": "receiving", "run": 0, "reason": None, "notes": [], "priority": "routine"}
    assert Delivery(("a",)).to_json() == EARLIER[2][1]
    assert Outcome("segmented").to_json() == {"outcome": "segmented", "reason": None, "files": {}}


def test_an_earlier_version_finds_both_counts_beside_a_transaction() -> None:
    asked = replace(Delivery(("a",)), transaction="2.25.1")
    assert asked.to_json().keys() >= {"transaction", "looked", "waited_s"}
    assert asked.without_transaction().to_json() == Delivery(("a",)).to_json()


@pytest.mark.parametrize(
    "change",
    [
        *(lambda content, key=key: content.pop(key) for key in ("state", "since", "run", "reason")),
        *(
            lambda content, key=key, value=value: content.update({key: value})
            for key, value in {
                "state": "asleep",
                "since": None,
                "run": "1",
                "reason": "words",
                "notes": "words",
                "priority": 1,
                "overtimes": None,
                "gave_way": None,
                "claim": [],
                "plan": {},
            }.items()
        ),
        lambda content: content["reason"].pop("code"),
        lambda content: content["claim"].update(number="1"),
        lambda content: content["plan"].update(run=None),
        lambda content: content["plan"].update(destinations=["pacs"]),
        lambda content: content["plan"]["destinations"]["pacs"].pop("outputs"),
        lambda content: content["plan"]["destinations"]["pacs"].update(models="liver"),
    ],
)
def test_a_damaged_state_is_damage(change: Callable[[dict[str, Any]], object], tmp_path: Path) -> None:
    expect_damage(RevisionState, STATE, change, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("outcome"),
        lambda content: content.update(reason=[]),
        lambda content: content.update(files=["1/a.dcm"]),
        lambda content: content.update(files={"a": "1/a.dcm"}),
    ],
)
def test_a_damaged_outcome_is_damage(change: Callable[[dict[str, Any]], object], tmp_path: Path) -> None:
    expect_damage(Outcome, OUTCOME, change, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        *(lambda content, key=key: content.pop(key) for key in ("state", "attempts", "reason", "files", "sent")),
        lambda content: content.update(files=None),
        lambda content: content.update(sent=[1]),
        lambda content: content.update(attempts="1"),
        lambda content: content.update(transaction=1),
        lambda content: content.update(waited_s="long"),
    ],
)
def test_a_damaged_delivery_is_damage(change: Callable[[dict[str, Any]], object], tmp_path: Path) -> None:
    """Above all where it does not say what is to be sent: nothing would then be all."""
    expect_damage(Delivery, DELIVERY, change, tmp_path)


def expect_damage(
    kind: type[RevisionState | Outcome | Delivery],
    whole: dict[str, Any],
    change: Callable[[dict[str, Any]], object],
    folder: Path,
) -> None:
    content = json.loads(json.dumps(whole))
    change(content)
    with pytest.raises(DAMAGE):
        read_record(kind, written(folder / "r.json", content))


@pytest.mark.parametrize("content", [None, b"", b'{"state": "deliv', b"[]", b"null", b"\xff\xfe\x00", b"\x80"])
@pytest.mark.parametrize("kind", [RevisionState, Outcome, Delivery], ids=NAMES)
def test_a_file_that_is_gone_or_no_json_object_is_damage(
    kind: type[Delivery], content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "r.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DAMAGE):
        read_record(kind, path)


def test_the_time_is_that_of_the_last_change_of_state() -> None:
    old = RevisionState(State.WAITING, since=SINCE)
    assert old.changed(run=1).since == old.changed(state=State.WAITING, reason=RecordedReason("x", "y")).since == SINCE
    assert old.changed(state=State.RUNNING).since > SINCE


def test_a_change_of_one_key_keeps_all_others(tmp_path: Path) -> None:
    """As two versions work on one spool: each writes what it knows, and takes nothing away."""
    revision = Revision(tmp_path, 0, "key")
    written(tmp_path / "state.json", STATE | LATER)
    revision.write_state(overtimes=3, claim=RecordedClaim("ct-2", 8))
    expected = STATE | LATER | {"overtimes": 3, "claim": {"by": "ct-2", "number": 8}}
    assert json.loads((tmp_path / "state.json").read_text()) == expected
    (tmp_path / "deliveries").mkdir()
    path = written(tmp_path / "deliveries" / "pacs.json", DELIVERY | LATER)
    delivery = revision.deliveries()["pacs"]
    revision.write_delivery("pacs", replace(delivery, sent=delivery.files))
    assert json.loads(path.read_text()) == DELIVERY | LATER | {"sent": DELIVERY["files"]}


def test_since_is_told_in_unix_time() -> None:
    assert RevisionState(State.FAILED, since=SINCE).since_s == datetime(2026, 1, 1, tzinfo=UTC).timestamp()
