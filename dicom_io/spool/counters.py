"""Counts that other processes can read: each process writes its own small file, and a reader adds them up.

Written at most once a second, by replacing the file and without forcing it to disk: a count that is lost with the power
is no loss.
"""

import json
import os
import re
import socket
import threading
from collections.abc import Iterable
from pathlib import Path

from core.event_log import EventLog
from core.files import replacing

WRITE_EVERY_S = 1.0
_HOST = re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())

_log = EventLog()


class Counters:
    """One process's counts.

    Parameters
    ----------
    folder
        Where the files of all processes lie.
    process
        Which process it is; with its ID the name of its file.
    """

    def __init__(self, folder: Path, process: str) -> None:
        self._path = folder / f"{_HOST}-{process}-{os.getpid()}.json"
        self._sums: dict[str, float] = {}
        self._lock = threading.Lock()
        self._changed = threading.Event()
        threading.Thread(target=self._keep_writing, name="counters", daemon=True).start()

    def add(self, name: str, amount: float = 1.0, *, label: str = "") -> None:
        """Add to a count; with a label, to one of a family."""
        key = f"{name} {label}" if label else name
        with self._lock:
            self._sums[key] = self._sums.get(key, 0.0) + amount
        self._changed.set()

    def raise_to(self, name: str, value: float) -> None:
        """Note the largest value so far, of this process."""
        key = f"{name} {_HOST}-{os.getpid()}"
        with self._lock:
            self._sums[key] = max(self._sums.get(key, 0.0), value)
        self._changed.set()

    def _keep_writing(self) -> None:
        pause = threading.Event()
        while True:
            self._changed.wait()
            self._changed.clear()
            try:
                self._write()
            except OSError as error:
                _log.warning("counters_not_written", problem=error.strerror)
            pause.wait(WRITE_EVERY_S)

    def _write(self) -> None:
        with self._lock:
            content = json.dumps(self._sums)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._path) as temporary:
            temporary.write_text(content)


def read_counters(folder: Path) -> dict[str, float]:
    """Sum the counts of all processes, ended ones included; a labelled count is ``name label``."""
    total: dict[str, float] = {}
    for path in folder.glob("[!.]*.json"):
        try:
            content: dict[str, float] = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        for key, amount in content.items():
            total[key] = total.get(key, 0.0) + amount
    return total


def forget_counters(folder: Path, processes: Iterable[str]) -> None:
    """Let these kinds of process begin from nothing, as where a node starts; others and other machines go on."""
    for process in processes:
        for path in folder.glob(f"{_HOST}-{process}-*.json"):
            path.unlink(missing_ok=True)


COUNTERS = "counters"
"""Folder of the spool with the processes' counts."""
