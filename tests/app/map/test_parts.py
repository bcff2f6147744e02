"""Listener and worker apart, as containers run them: ``segnode serve --only``."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.node.status import look
from tests.support.node_process import ROOT, SEGNODE, NodeProcess, free_port, wait_until


@pytest.mark.parametrize("part", ["listener", "worker"])
def test_a_part_runs_alone_and_counts_as_ready(part: str, tmp_path: Path) -> None:
    destinations = {"pacs": (free_port(), "PACS")}
    node = NodeProcess(tmp_path / "node", destinations, program=SEGNODE, routes={"SEGNODE": ("demo",)})
    command = [sys.executable, *SEGNODE, str(node.config), "--only", part]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - our own program
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"ready ")
            overview = wait_until(lambda: (seen := look(node.spool)).is_ready and seen)
            assert dict(overview.processes) == {part: True}
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node", {"pacs": (free_port(), "PACS")}, program=SEGNODE)
    command = [sys.executable, *SEGNODE, str(node.config), "--only", "sender"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 2  # noqa: S603 - our own program
