"""One study whose files are damaged: every other goes its way, and the log names the one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.uid import generate_uid
from typer.testing import CliRunner

from app.cli.main import cli
from app.node.status import look
from app.node.status_server import StatusCollector
from core.errors import ConfigInvalid
from dicom_io.spool.ingest import Ingest
from dicom_io.spool.records import RecordedReason, State
from dicom_io.spool.retention import delete_delivered
from tests.support.arriving import Sent, put
from tests.support.node_process import NodeProcess, free_port, wait_until, write_study
from tests.support.peers import StorageServer, store


@pytest.mark.parametrize("damage", ["missing", "empty", "folder"])
def test_a_damaged_study_holds_up_no_other(damage: str, peer: Callable[[str], str], tmp_path: Path) -> None:
    pacs = StorageServer(peer("storescp"), tmp_path / "pacs").start()
    node = NodeProcess(tmp_path / "node", {"pacs": (pacs.port, "PACS")})
    node.start()
    try:
        first, second = str(generate_uid()), str(generate_uid())
        store(peer("storescu"), node.port, "SEGNODE", write_study(tmp_path / "first", first))
        assert node.wait_for_end(first)["state"] == "delivered"
        latest = node.latest(first)
        assert latest is not None
        state = latest.path / "state.json"
        if damage == "folder":
            (latest.path.parent / "rev-0.bak").mkdir()
        elif damage == "empty":
            state.write_bytes(b"")
        else:
            state.unlink()
        node.stop()
        node.start()
        store(peer("storescu"), node.port, "SEGNODE", write_study(tmp_path / "second", second))
        assert node.wait_for_end(second)["state"] == "delivered"
        if damage != "folder":
            wait_until(lambda: f"study_skipped study={latest.key}" in node.log.read_text())
        wait_until(lambda: not node.spool.open_keys())  # what is still looked at is not deleted
        deleted = delete_delivered(node.spool, -1.0)
        whole = node.latest(second)
        assert whole is None
        assert len(deleted) == (2 if damage == "folder" else 1)
    finally:
        node.stop()
        pacs.stop()


def test_a_delivery_whose_record_is_damaged_ends_its_study_visibly(peer: Callable[[str], str], tmp_path: Path) -> None:
    """A value of a wrong type, as a hand or another version may leave it: nobody would go on with the study."""
    node = NodeProcess(tmp_path / "node", {"pacs": (free_port(), "PACS")})
    node.start()
    try:
        study = str(generate_uid())
        store(peer("storescu"), node.port, "SEGNODE", write_study(tmp_path / "study", study))
        wait_until(lambda: (latest := node.latest(study)) and latest.state == "delivering")
        latest = node.latest(study)
        assert latest is not None
        node.stop()
        record = latest.path / "deliveries" / "pacs.json"
        record.write_text(json.dumps({**json.loads(record.read_text()), "attempts": "3"}))
        node.start()
        end = node.wait_for_end(study)
        assert (end["state"], end["reason"]["code"]) == ("failed", "internal_error")
    finally:
        node.stop()


@pytest.mark.parametrize("name", ["outcome.json", "deliveries/pacs.json"])
def test_a_damaged_record_is_no_study_to_wait_for(name: str, node: NodeProcess) -> None:
    """A command refuses the study with what helps, and says nothing of waiting."""
    key = sorted(node.spool.study_keys())[0]
    path = node.spool.revision(key, 0).path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"files": {"m": null}}')
    for command in ("show", "retry"):
        result = CliRunner().invoke(cli, ["studies", command, key, "--config", str(node.config)])
        assert isinstance(result.exception, ConfigInvalid)
        assert "put its files back from a backup" in str(result.exception)
        assert result.stdout == ""


DAMAGE = {
    "gone": None,
    "empty": "",
    "half": '{"state": "deliv',
    "no object": "[]",
    "unknown state": '{"state": "asleep", "since": "2026-01-01T00:00:00Z", "reason": null}',
    "no time": '{"state": "waiting", "since": "", "reason": null}',
}


@pytest.fixture
def node(tmp_path: Path) -> NodeProcess:
    """A node that does not run, with two studies that failed; the first is to be damaged."""
    node = NodeProcess(tmp_path / "node", {"pacs": (free_port(), "PACS")})
    node.spool.prepare()
    for study in ("1.2.1", "1.2.2"):
        put(Ingest(node.spool), Sent("SEGNODE", study, f"{study}.1", True, b"image"))
    for key in node.spool.study_keys():
        node.spool.revision(key, 0).write_state(state=State.FAILED, reason=RecordedReason("x", ""))
    return node


def call(node: NodeProcess, *arguments: str) -> str:
    return CliRunner().invoke(cli, [*arguments, "--config", str(node.config)], catch_exceptions=False).stdout


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_study_is_shown_by_name_and_hides_no_other(node: NodeProcess, damage: str) -> None:
    damaged, _ = node.spool.study_keys()
    state, content = node.spool.revision(damaged, 0).path / "state.json", DAMAGE[damage]
    if content is None:
        state.unlink()
    else:
        state.write_text(content)

    overview = look(node.spool)
    assert (list(overview.damaged), overview.studies["failed"]) == ([damaged], 1)
    metrics = {metric.name: metric for metric in StatusCollector(node.spool).collect()}
    assert metrics["segnode_damaged_studies"].samples[0].value == 1

    assert f"  {damaged}: damaged, " in call(node, "status")
    status = json.loads(call(node, "status", "--json"))
    assert (list(status["damaged"]), status["studies"]["failed"]) == ([damaged], 1)


@pytest.mark.parametrize("file", ["study.json", "rev-0/state.json"])
def test_a_damaged_study_is_listed_and_actions_on_it_say_what_to_do(node: NodeProcess, file: str) -> None:
    damaged, whole = node.spool.study_keys()
    (node.spool.folder(damaged) / file).write_text("")
    if file != "study.json":  # of which a list needs nothing
        rows = {row["id"]: row for row in json.loads(call(node, "studies", "list", "--json"))}
        assert {key: row["state"] for key, row in rows.items()} == {damaged: "damaged", whole: "failed"}
        (line,) = (line for line in call(node, "studies", "list").splitlines() if line.startswith(damaged))
        assert line.endswith("damaged  JSONDecodeError")
    for action in ("show", "retry", "release", "forget"):
        with pytest.raises(
            ConfigInvalid, match=r"is damaged \(JSONDecodeError\); stop the node, then put its files back"
        ):
            CliRunner().invoke(
                cli,
                ["studies", action, damaged, "--config", str(node.config)],
                standalone_mode=False,
                catch_exceptions=False,
            )
    assert node.spool.is_known(damaged)
