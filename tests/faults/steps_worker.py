"""The stand-in's worker, to which something happens in one step of one study, as that study's description says.

``die STEP worker`` and ``die STEP node`` kill the process where the step has done its work and nobody has noted it yet;
``handles STEP`` takes away the worker's file handles for `TROUBLE_S`;
``full STEP`` and ``sealed STEP`` take away disk or writing for `TROUBLE_S` from where the step begins; they need a
spool that is a mount of its own in a user namespace.
"""

import functools
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from dbos import DBOS
from pydicom import dcmread

from app.settings.node import load_settings
from dicom_io.spool.spool import Spool

TROUBLE_S = 2.0
HANDLES = resource.getrlimit(resource.RLIMIT_NOFILE)


def full(spool: Path) -> None:
    """Fill the disk."""
    filler = spool / f"filler-{time.monotonic_ns()}"
    for size in (1 << 16, 1):
        with filler.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(size))
    _later(filler.unlink)


def sealed(spool: Path) -> None:
    """Let nobody write below the spool."""
    subprocess.run(["mount", "--bind", "-o", "ro", str(spool), str(spool)], check=True)  # noqa: S603, S607
    # Lazily, as a file below it may be open at that instant.
    _later(lambda: subprocess.run(["umount", "--lazy", str(spool)], check=True))  # noqa: S603, S607


def _later(undo: Callable[[], object]) -> None:
    timer = threading.Timer(TROUBLE_S, undo)
    timer.daemon = True
    timer.start()


def handles(spool: Path) -> None:
    """Leave this process no file handle but those that it has."""
    held = max(int(handle.name) for handle in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (held, HANDLES[1]))
    _later(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, HANDLES))


TROUBLES = {"full": full, "sealed": sealed, "handles": handles}


def die(target: str) -> None:
    """Kill this process, or its node, which takes it along."""
    os.kill(os.getpid() if target == "worker" else os.getppid(), signal.SIGKILL)
    time.sleep(60)


def troubled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A step to which it happens, once for a study; a file beside the spool says that it has."""
    spool = Spool(load_settings(Path(sys.argv[1])).spool)

    def wish(key: str, number: int) -> list[str]:
        first = min(spool.revision(key, number).images.iterdir())
        description = str(dcmread(first, specific_tags=["StudyDescription"]).get("StudyDescription", ""))
        happened = spool.root.parent / f"happened-{key}"
        if description.split()[1:2] != [function.__name__] or happened.exists():
            return []
        happened.touch()
        return description.split()

    def granted(key: str, number: int) -> list[str]:
        while True:
            try:
                return wish(key, number)
            except OSError:  # another study's trouble, which ends; the wish would be lost with it
                time.sleep(0.1)

    @functools.wraps(function)
    def step(flow: Any, key: str, number: int, *rest: Any) -> Any:
        wished = granted(key, number)
        if wished and wished[0] in TROUBLES:
            TROUBLES[wished[0]](spool.root)
        answer = function(flow, key, number, *rest)
        if wished and wished[0] == "die":
            die(wished[2])
        return answer

    return step


def main() -> None:
    """Entry of the process."""
    make_step = DBOS.step
    DBOS.step = lambda *args, **kwargs: lambda function: make_step(*args, **kwargs)(troubled(function))  # type: ignore[method-assign]
    from tests.support.stub_worker import main as work

    work()


if __name__ == "__main__":
    main()
