"""``kill -9`` of a node's processes at random points."""

import os
import random
import re
import signal
import time
from collections import Counter
from pathlib import Path

from tests.support.node_process import PATIENCE_S, NodeProcess

SHARES = {"listener": 0.53, "node": 0.19, "worker": 0.28}
"""Of all kills; the node is killed alone, or with its children at one instant."""

AT_ITS_START = 0.25
"""Share of the kills that do not wait until their target takes work."""


def plan(count: int, chance: random.Random) -> list[str]:
    """Targets of that number of kills, in a random order."""
    targets = [name for name, share in SHARES.items() for _ in range(round(count * share))]
    targets += ["listener"] * (count - len(targets))
    chance.shuffle(targets)
    return targets[:count]


class Killer:
    """Kills one node, and starts it again as a service manager does.

    Parameters
    ----------
    node
        The node, started.
    chance
        Decides when.
    """

    def __init__(self, node: NodeProcess, chance: random.Random) -> None:
        self.kills: Counter[str] = Counter()
        self.ended_by_itself = 0
        self._node = node
        self._chance = chance

    def kill(self, target: str, until: float) -> None:
        """Kill a process, some time before the given moment of the monotonic clock if it lives then, else later."""
        early = self._chance.random() < AT_ITS_START
        time.sleep(max(0.0, until - time.monotonic()) * self._chance.random())
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self.keep_alive()
            if (pids := self._targets(target, early=early)) and self._shoot(target, pids):
                break
            time.sleep(0.01)

    def keep_alive(self) -> None:
        """Start the node again where it ended by itself."""
        if not self._node.is_running:
            self.ended_by_itself += 1
            self._node.launch()

    def _targets(self, target: str, *, early: bool) -> list[int]:
        log = self._node.log.read_text()
        latest = {child: int(pid) for child, pid in re.findall(r"process_started child=(\w+) pid=(\d+)", log)}
        if target == "node":
            return list(latest.values())
        if target not in latest or not self._is_child(latest[target]):
            return []
        if not early and log.rfind(f"process_reported_ready child={target}") < log.rfind(
            f"process_started child={target} "
        ):
            return []
        return [latest[target]]

    def _shoot(self, target: str, pids: list[int]) -> bool:
        if target == "node":
            together = self._chance.random() < 0.5
            self._node.kill()
            if together:
                for pid in filter(self._is_child, pids):
                    _kill(pid)
            self._node.launch()
        elif not _kill(pids[0]):
            return False
        self.kills[target] += 1
        return True

    def _is_child(self, pid: int) -> bool:
        """Tell whether this is a process of the node, and not another one that has got its number since."""
        try:
            return str(self._node.config).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
