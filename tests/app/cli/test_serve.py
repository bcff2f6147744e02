"""``segnode serve`` and ``segnode studies`` as a person calls them."""

import errno
import json
import os
import pty
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.spool import rebuild
from app.cli.studies import app as studies
from app.node.node import child_commands
from app.node.presence import read_processes
from core.errors import ConfigInvalid
from dicom_io.spool.ingest import Ingest
from dicom_io.spool.records import Delivery, Plan, PlannedDelivery, RecordedReason, State
from dicom_io.spool.revision import Revision
from segmentation.importing.add import add_package
from tests.support.arriving import Sent, put
from tests.support.node_process import PATIENCE_S, ROOT, SEGNODE, NodeProcess, free_port
from tests.support.serving import serving
from tests.support.tiny_models import make_results_folder


@pytest.fixture
def node(tmp_path: Path) -> NodeProcess:
    """The settings and the spool of a node that does not run."""
    node = NodeProcess(tmp_path / "node", {"pacs": (free_port(), "PACS")}, program=SEGNODE)
    node.spool.prepare()
    return node


@pytest.fixture
def refused(node: NodeProcess) -> Revision:
    """A refused study in its spool."""
    put(Ingest(node.spool), Sent("SEGNODE", "1.2.3", "1.2.3.4", True, b"image"))
    (key,) = node.spool.study_keys()
    revision = node.spool.revision(key, 0)
    revision.write_state(state=State.REFUSED, reason=RecordedReason("missing_slice", "A slice is missing."))
    node.spool.unmark(key)
    return revision


def call(node: NodeProcess, *arguments: str) -> str:
    result = CliRunner().invoke(studies, [*arguments, "--config", str(node.config)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_list_shows_route_age_state_and_reason_below_a_header_and_no_uid(node: NodeProcess, refused: Revision) -> None:
    head, line = call(node, "list").splitlines()
    assert head.split() == ["STUDY", "REV", "IMAGES", "ROUTE", "AGE", "STATE", "REASON"]
    assert re.fullmatch(rf"{refused.key} +0 +1 +SEGNODE +\d+ (s|min) +refused +missing_slice", line)
    assert [head.index(title) for title in ("ROUTE", "STATE")] == [line.index("SEGNODE"), line.index("refused")]
    refused.write_state(
        since=(datetime.now(UTC) - timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        plan=Plan(0, {"pacs": PlannedDelivery(("liver", "vessels"), (), ("seg",))}),
    )
    assert "SEGNODE: liver, vessels > pacs  5 h  refused" in call(node, "list")
    (row,) = json.loads(call(node, "list", "--json"))
    assert (row["id"], row["state"], row["reason"]["code"]) == (refused.key, "refused", "missing_slice")


def test_show_tells_which_study_it_is_and_why(node: NodeProcess, refused: Revision) -> None:
    refused.write_delivery("pacs", Delivery(("a.dcm",), attempts=2, reason="no connection"))
    text = call(node, "show", refused.key[:5])
    assert all(words in text for words in ("study 1.2.3 ", "called AE SEGNODE", "A slice is missing.", "2 attempts"))


def test_nothing_is_forgotten_without_a_terminal_and_without_yes(node: NodeProcess, refused: Revision) -> None:
    with pytest.raises(ConfigInvalid, match="there is no terminal to ask at; add --yes"):
        call(node, "forget", refused.key)
    with pytest.raises(ConfigInvalid, match="add --yes"):
        call(node, "forget", refused.key, "--json")
    assert node.spool.study_keys() == [refused.key]
    assert call(node, "forget", refused.key, "--yes") == f"{refused.key} is forgotten\n"
    assert node.spool.study_keys() == []


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 1), (b"y\n", 0)])
def test_a_person_at_a_terminal_is_asked_before_a_study_is_forgotten(
    node: NodeProcess, refused: Revision, answer: bytes, code: int
) -> None:
    person, terminal = pty.openpty()
    try:
        os.write(person, answer)
        command = [sys.executable, *SEGNODE[:2], "studies", "forget", refused.key, "--config", str(node.config)]
        done = subprocess.run(  # noqa: S603 - our own interpreter and program
            command, cwd=ROOT, stdin=terminal, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
    finally:
        os.close(person)
        os.close(terminal)
    assert f"Delete study {refused.key}, 1 image with all results, from this node? [y/N]" in done.stderr
    assert done.returncode == code
    assert bool(node.spool.study_keys()) == bool(code)


def test_retry_queues_it_once(node: NodeProcess, refused: Revision) -> None:
    assert "waits to run" in call(node, "retry", refused.key)
    assert refused.state is State.WAITING
    with pytest.raises(ConfigInvalid, match="has not ended"):
        call(node, "retry", refused.key)


@pytest.mark.parametrize("short_id", ["ffffffffffffffff", ""])
def test_unknown_or_ambiguous_id_is_reported(node: NodeProcess, refused: Revision, short_id: str) -> None:
    put(Ingest(node.spool), Sent("SEGNODE", "1.2.4", "1.2.4.4", True, b"image"))
    with pytest.raises(ConfigInvalid, match="segnode studies list"):
        call(node, "show", short_id)


def test_root_changes_nothing_that_is_another_user_s(
    node: NodeProcess, refused: Revision, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = Path.stat

    def of_another_user(self: Path, **options: bool) -> os.stat_result:
        found = stat(self, **options)
        return os.stat_result((*found[:4], 12345, *found[5:10])) if self.name == "studies" else found

    monkeypatch.setattr(Path, "stat", of_another_user)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for command in ("retry", "release", "forget"):
        with pytest.raises(ConfigInvalid, match="not to root; call this as the node's user"):
            call(node, command, refused.key)
    with pytest.raises(ConfigInvalid, match="not to root; call this as the node's user"):
        rebuild(node.config)
    assert refused.state is State.REFUSED
    assert "A slice is missing." in call(node, "show", refused.key)


def test_a_spool_whose_disk_is_not_mounted_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node", {"pacs": (free_port(), "PACS")})
    node.spool.root.mkdir()
    database = tmp_path / "node" / "workflow.sqlite"
    database.write_bytes(b"as it was")
    for command in (["list"], ["show", "0"], ["retry", "0"]):
        with pytest.raises(ConfigInvalid, match="there is none; has this node ever been started"):
            call(node, *command)
    with pytest.raises(ConfigInvalid, match="there is none; has this node ever been started"):
        rebuild(node.config)
    assert database.read_bytes() == b"as it was"
    assert list(node.spool.root.iterdir()) == []


def test_a_user_who_may_not_read_the_spool_is_told_who_may(node: NodeProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "scandir", denied)
    for command in (["list"], ["show", "0"], ["retry", "0"]):
        with pytest.raises(ConfigInvalid, match="Permission denied; call this as the node's user"):
            call(node, *command)


def serve(node: NodeProcess) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *SEGNODE, str(node.config)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S)  # noqa: S603 - our own interpreter and program


def test_wrong_settings_end_with_2(node: NodeProcess) -> None:
    node.config.write_text(node.config.read_text().replace("quiet_seconds: 1.0", "quiet_seconds: soon"))
    done = serve(node)
    assert done.returncode == 2
    assert "quiet_seconds" in done.stderr
    assert done.stdout == ""


def test_an_unknown_key_of_the_environment_ends_with_2_and_its_value_is_not_shown(
    node: NodeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGNODE_NODE__DATABASE_PASSWORD", "hunter2")
    done = serve(node)
    assert done.returncode == 2
    assert "SEGNODE_NODE__DATABASE_PASSWORD: there is no key database_password" in done.stderr
    assert "hunter2" not in done.stderr


def test_keys_of_the_environment_count_in_every_process_and_are_named_in_the_log(tmp_path: Path) -> None:
    port = free_port()
    given = {"SEGNODE_NODE__PORT": str(port), "SEGNODE_NODE__LIMITS__PDU_SECONDS": "29.5"}
    node = NodeProcess(tmp_path / "node", {"pacs": (free_port(), "PACS")}, environment=given)
    try:
        assert node.start() == f"ready ae=SEGNODE port={port}"
        socket.create_connection(("127.0.0.1", port)).close()  # the listener, a child, has it open
    finally:
        node.stop()
    (line,) = [line for line in node.log.read_text().splitlines() if "settings_overridden" in line]
    assert line.endswith("settings_overridden keys=limits.pdu_seconds,port")
    assert "29.5" not in node.log.read_text()


def test_a_port_that_is_taken_ends_with_2(node: NodeProcess) -> None:
    with socket.create_server(("127.0.0.1", node.port)):
        done = serve(node)
    assert done.returncode == 2
    assert f"port {node.port}" in done.stderr


def test_a_second_node_on_a_spool_ends_with_2_and_names_the_first_until_that_is_dead(tmp_path: Path) -> None:
    first = NodeProcess(tmp_path / "node", {"pacs": (free_port(), "PACS")})
    first.set(audit_file="audit.xml")
    first.start()
    try:
        trail = (first.folder / "audit.xml").read_bytes()
        done = serve(first)
        assert done.returncode == 2, done.stderr
        named = (
            rf"a node runs on it already; its listener is of process {first.pid} on {re.escape(socket.gethostname())}"
        )
        assert re.search(rf"{named}, since 20\S+Z; stop that one, or give this one another spool\n", done.stderr)
        assert done.stdout == ""
        assert (first.folder / "audit.xml").read_bytes() == trail  # as an auditor reads it, nothing stopped
        assert read_processes(first.spool.root) == {"listener": True, "worker": True}
        first.kill_and_wait()
        assert first.start().startswith("ready ")
    finally:
        first.stop()


def test_the_copied_example_starts_a_node_in_any_folder(tmp_path: Path) -> None:
    (tmp_path / "node.yaml").write_bytes((ROOT / "manifests" / "node.example.yaml").read_bytes())
    port = free_port()
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SEGNODE_")}
    command = [sys.executable, *SEGNODE, "node.yaml"]
    with serving(command, tmp_path, {**ours, "SEGNODE_NODE__PORT": str(port)}) as line:
        assert line == f"ready ae=SEGNODE port={port}\n"
        assert {"spool", "workflow.sqlite"} <= {path.name for path in tmp_path.iterdir()}


def test_a_damaged_package_ends_with_4(tmp_path: Path) -> None:
    package = tmp_path / "models" / "stub"
    package.mkdir(parents=True)
    (package / "model.yaml").write_text("schema: 1\nname: stub\n")
    pacs = {"pacs": (free_port(), "PACS")}
    done = serve(NodeProcess(tmp_path / "node", pacs, models_folder=package.parent, program=SEGNODE))
    assert done.returncode == 4, done.stderr
    assert "stub" in done.stderr
    assert done.stdout == ""


def test_a_model_with_an_open_question_ends_with_4(tmp_path: Path) -> None:
    add_package(make_results_folder(tmp_path / "source"), "stub", tmp_path / "models")
    pacs = {"pacs": (free_port(), "PACS")}
    done = serve(NodeProcess(tmp_path / "node", pacs, models_folder=tmp_path / "models", program=SEGNODE))
    assert done.returncode == 4, done.stderr
    assert "package_undecided: no route and no alias may load stub while a question is open" in done.stderr
    assert "orientation: `acquired` is right where" in done.stderr


def test_several_processes_receive_where_that_is_configured() -> None:
    assert list(child_commands("node.yaml", 3)) == ["listener", "listener-2", "listener-3", "worker"]
    assert list(child_commands("node.yaml")) == ["listener", "worker"]
