"""One study whose files are damaged: every other goes its way, and the log names the one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from dicom_io.spool.retention import delete_delivered
from tests.node_process import NodeProcess, wait_until, write_study
from tests.peers import StorageServer, store


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
            wait_until(lambda: f"study_passed_over study={latest.key}" in node.log.read_text())
        deleted = delete_delivered(node.spool, -1.0)
        whole = node.latest(second)
        assert whole is None
        assert len(deleted) == (2 if damage == "folder" else 1)
    finally:
        node.stop()
        pacs.stop()
