"""No process is forked after gRPC was started (ADR 13): seen by the system calls of a whole service at work."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from segnode_client import Client
from tests.support.node_process import ROOT
from tests.support.service_cases import ALIASES, make_models, write_case
from tests.support.service_process import SEGNODE, ServiceProcess

CALL = re.compile(r"^(?P<pid>\d+) +(?P<call>clone3?|v?fork|execve)\(")
MADE = re.compile(r"= (\d+)$")
THREAD = "CLONE_THREAD"


def calls(trace: str) -> list[tuple[str, str, str]]:
    """Process, name and text of each traced call, those that another one interrupted put together."""
    found = []
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        pid = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            begun[pid] = line.removesuffix("<unfinished ...>")
            continue
        if " resumed>" in line and pid in begun:
            line = begun.pop(pid) + line.split(" resumed>", 1)[1]
        if match := CALL.match(line):
            found.append((pid, match["call"], line))
    return found


def test_every_child_is_a_program_of_its_own(peer: Callable[[str], str], tmp_path: Path) -> None:
    strace = peer("strace")
    for number in range(3):
        write_case(tmp_path / "cases" / str(number), seed=number)
    service = ServiceProcess(tmp_path / "service", tmp_path / "cases", make_models(tmp_path / "made"), ALIASES)
    trace = tmp_path / "trace"
    command = [strace, "-f", "-qq", "-e", "trace=clone,clone3,fork,vfork,execve", "-s", "200", "-o", str(trace)]
    command += [sys.executable, *SEGNODE, "api", "--config", str(service.config)]
    with service.log.open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log)  # noqa: S603 - strace, by name
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"ready "), service.log.read_text()
        with Client(service.grpc, timeout_s=400) as client:
            for number in range(3):
                image = {letter: f"cases:{number}/{letter}.nii.gz" for letter in "APD"}
                client.batch(["tumor", "ureter"], image=image["A"], image_d=image["D"])
                client.vessel(image["A"], image["P"])
    finally:
        # The supervisor ends its children; strace ends with the last of them.
        os.kill(int(trace.read_text().split(maxsplit=1)[0]), signal.SIGTERM)
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()
    seen = calls(trace.read_text())
    made = [
        (found[1], line)
        for _, call, line in seen
        # One that a signal interrupted has made no process, and is called again.
        if call != "execve" and THREAD not in line and (found := MADE.search(line))
    ]
    forked = [line for _, line in made if "vfork(" not in line and "CLONE_VFORK" not in line]
    assert forked == [], "a child that goes on with its parent's memory"
    fresh = {pid for pid, call, _ in seen if call == "execve"}
    assert {pid for pid, _ in made} <= fresh
    children = {str(pid) for pid in service.children().values()}
    assert children <= fresh
    assert [line for pid, _, line in seen if pid in children and THREAD in line], "the trace does not see what they do"
