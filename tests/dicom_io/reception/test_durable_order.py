"""The listener's system calls: bytes, fsync, rename, fsync of the folder, and only then the response."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pydicom.uid import generate_uid

from tests.support.listener_process import ListenerProcess
from tests.support.node_process import PATIENCE_S, wait_until, write_study
from tests.support.peers import store

CALLS = "openat,write,fsync,rename,renameat,renameat2,sendto"
CALL = re.compile(r"^(?P<pid>\d+) +(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")


def calls_of(trace: Path) -> list[tuple[str, str, int]]:
    """Name, arguments and result of each call that succeeded, in the order in which they ended."""
    calls, begun = [], {}
    for line in trace.read_text().splitlines():
        pid, _, rest = line.partition(" ")
        if rest.endswith("<unfinished ...>"):
            begun[pid] = rest.strip().removesuffix("<unfinished ...>")
            continue
        resumed = re.search(r"<\.\.\. \w+ resumed>(.*)", rest)
        text = f"{pid} {begun.pop(pid, '')}{resumed.group(1)}" if resumed else line
        found = CALL.match(text)
        if found and int(found["result"]) >= 0:
            calls.append((found["name"], found["arguments"], int(found["result"])))
    return calls


def test_success_is_answered_only_after_everything_is_on_disk(peer: Callable[[str], str], tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    storescu = peer("storescu")
    wrapper = (peer("strace"), "-f", "-y", "-s", "200", "-e", f"trace={CALLS}", "-o", str(trace))
    listener = ListenerProcess(tmp_path / "node", wrapper=wrapper)
    study = generate_uid()
    folder = write_study(tmp_path / "sent", study, images=2)
    assert store(storescu, listener.port, "SEGNODE", folder) == 0
    wait_until(lambda: len(listener.images(study)) == 2)
    stop(listener)
    calls = calls_of(trace)
    parts = [
        arguments
        for name, arguments, _ in calls
        if name == "openat" and ".part" in arguments and "incoming" in arguments
    ]
    assert len(parts) == 2
    for opened in parts:
        part = re.findall(r'[^/"]+\.part', opened)[0]
        check_order(calls, part)


def check_order(calls: list[tuple[str, str, int]], part: str) -> None:
    """One object's way: each step comes after the one before it."""
    steps: list[Callable[[str, str], bool]] = [
        lambda name, arguments: name == "openat" and part in arguments and "O_EXCL" in arguments,
        lambda name, arguments: name == "write" and part in arguments,
        lambda name, arguments: name == "fsync" and part in arguments,
        lambda name, arguments: name.startswith("rename") and part in arguments.split(",")[0],
        lambda name, arguments: name == "fsync" and "/images>" in arguments,
        lambda name, arguments: name == "sendto" and is_response(arguments),
    ]
    at = 0
    for number, step in enumerate(steps):
        found = [n for n in range(at, len(calls)) if step(*calls[n][:2])]
        assert found, f"step {number} is missing after call {at}"
        if number == 1:
            # The last of the writes, so that the flush follows all of them.
            written = [n for n in range(len(calls)) if step(*calls[n][:2])]
            found = [written[-1]]
        at = found[0]
    renamed = next(n for n, call in enumerate(calls) if steps[3](*call[:2]))
    answered = [n for n, call in enumerate(calls) if steps[5](*call[:2])]
    # As many answers before the rename as objects that were whole before it.
    earlier = [
        n
        for n, call in enumerate(calls)
        if call[0].startswith("rename") and ".part" in call[1] and "images" in call[1] and n < renamed
    ]
    assert len([n for n in answered if n < renamed]) <= len(earlier)


def is_response(arguments: str) -> bool:
    """Tell whether bytes are a P-DATA with a C-STORE response (0x8001)."""
    return r'"\4\0' in arguments and r"\1\200" in arguments


def stop(listener: ListenerProcess) -> None:
    """Stop the traced process; strace passes no signal on."""
    children = Path(f"/proc/{listener.process.pid}/task/{listener.process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGTERM)
    assert listener.process.wait(PATIENCE_S) == 0
    for stream in (listener.process.stdin, listener.process.stdout):
        assert stream is not None
        stream.close()


def test_the_measure_sees_a_missing_flush(peer: Callable[[str], str], tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    program = "import os; f = open('x.part', 'xb', buffering=0); f.write(b'x'); os.rename('x.part', 'images')"
    command = [peer("strace"), "-f", "-y", "-e", "trace=openat,write,fsync,rename", "-o", str(trace)]
    subprocess.run([*command, sys.executable, "-c", program], check=True, cwd=tmp_path)  # noqa: S603 - a peer found by name
    names = [name for name, arguments, _ in calls_of(trace) if "x.part" in arguments]
    assert names == ["openat", "write", "rename"]
