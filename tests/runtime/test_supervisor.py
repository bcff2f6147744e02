"""The supervisor says that all take work only where whoever looks then finds it so."""

import subprocess
import sys

from tests.support.node_process import PATIENCE_S, ROOT

PROGRAM = """
import os, signal, sys
from runtime.supervisor import Supervisor

CHILD = [sys.executable, "-c", "print('ready', flush=True); import sys; sys.stdin.read()"]

def ready():
    print("ready", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

Supervisor({"one": CHILD, "two": CHILD}, ready, lambda now: print(sum(now.values()), flush=True)).run()
"""


def test_readiness_of_all_is_shown_before_it_is_announced() -> None:
    done = subprocess.run(  # noqa: S603 - our own interpreter and program text
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert done.stdout.split() == ["0", "1", "2", "ready"]
