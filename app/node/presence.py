"""The sign that a node runs on a spool: for ``segnode status``, and for a second node, which is refused.

Each part of a machine's node holds a lock of its own, so that several machines, and a listener beside a worker, share
a spool.
"""

import json
import os
import re
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from core.errors import ConfigInvalid
from core.file_locks import is_locked, take_lock
from core.files import replace_file

# Machines that share a spool each have a node of their own.
THIS_HOST = re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())
_TRIES = 20


class Presence:
    """A node's locks, which the kernel frees with it; they say who holds them, and beside them lie its processes.

    Parameters
    ----------
    spool
        The spool's folder.
    machine
        The machine's name among those that share the spool (``executor``).
    parts
        What runs: ``listener``, ``worker``, or both.
    """

    def __init__(self, spool: Path, machine: str, parts: Iterable[str]) -> None:
        self._folder = spool
        self._locks = {part: spool / f".node-{THIS_HOST}-{machine}-{part}.lock" for part in sorted(set(parts))}
        self._held: dict[str, int] = {}

    def hold(self) -> None:
        """Take the lock of each part.

        Raises
        ------
        ConfigInvalid
            If another process of this machine holds one; the text names it. No dead one does.
        OSError
            If the spool cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        for part, path in self._locks.items():
            descriptor = _take(path)
            if descriptor is None:
                self.release()
                raise ConfigInvalid(
                    f"spool {self._folder}: a node runs on it already; {_holder(path, part)}; stop that one, or give"
                    " this one another spool"
                )
            self._held[part] = descriptor
            _sign(descriptor)
            _processes_of(path).unlink(missing_ok=True)

    def show(self, processes: Mapping[str, bool]) -> None:
        """Note which processes take work; each belongs to the part that its name begins with.

        Raises
        ------
        OSError
            If the spool cannot be written.
        """
        for part in self._held:
            own = {name: ready for name, ready in processes.items() if part_of(name) == part}
            replace_file(_processes_of(self._locks[part]), json.dumps(own).encode())

    def release(self) -> None:
        """Free the locks, as the kernel does where the process ends."""
        while self._held:
            os.close(self._held.popitem()[1])


def part_of(process: str) -> str:
    """Name the part of a node that a process is of: ``listener`` for ``listener-2``."""
    return process.partition("-")[0]


def read_processes(spool: Path) -> dict[str, bool]:
    """Return whether each process of this machine's node takes work; empty where none runs on the spool."""
    found: dict[str, bool] = {}
    for path in sorted(spool.glob(f".node-{THIS_HOST}-*.lock")):
        try:
            runs = is_locked(path)
        except OSError:
            continue
        for name, ready in (_shown(path) if runs else {}).items():
            found[name] = ready and found.get(name, True)
    return found


def _take(path: Path) -> int | None:
    for _ in range(_TRIES):
        if (descriptor := take_lock(path)) is not None:
            return descriptor
        time.sleep(0.05)  # somebody who looks holds it for an instant
    return None


def _sign(descriptor: int) -> None:
    """Write into a lock who holds it; on a full disk it stays empty, and is a lock all the same."""
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
    os.ftruncate(descriptor, 0)  # else the one before is named
    with suppress(OSError):
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)


def _holder(lock: Path, part: str) -> str:
    """Say which process holds a lock, as far as it could write that down."""
    try:
        content = json.loads(lock.read_text())
        return f"its {part} is of process {content['pid']} on {content['host']}, since {content['started']}"
    except (OSError, ValueError, LookupError, TypeError):
        return f"it holds {lock.name} and has not said which process it is"


def _processes_of(lock: Path) -> Path:
    return lock.with_name(f"processes-{lock.stem.removeprefix('.node-')}.json")


def _shown(lock: Path) -> dict[str, bool]:
    try:
        content: dict[str, bool] = json.loads(_processes_of(lock).read_text())
    except FileNotFoundError:  # it has just started, or its disk is full
        return {lock.stem.rpartition("-")[2]: False}
    return content
