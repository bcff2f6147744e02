"""The processor as a process may use it, and how the network's threads share it with whatever else runs there.

Torch computes on the threads of OpenMP, whose library reads its environment once, when torch loads it. So the
environment is set before, and child processes inherit it.

References
----------
OpenMP 5.2, "OMP_WAIT_POLICY", "OMP_NUM_THREADS"; Linux kernel documentation, "CFS Bandwidth Control" (version 1) and
control groups v2, ``cpu.max``.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

from core.control_groups import control_groups


def usable_cores(root: Path = Path("/")) -> int:
    """Count the cores that this process may use: those it is bound to, or fewer where a control group has a quota.

    Two hardware threads of one core count once, as for torch: its products gain nothing from the second. A part of a
    core that a quota allows counts as one, since a thread fewer would leave it idle.

    Parameters
    ----------
    root
        The folder that holds ``proc`` and ``sys``.
    """
    cores = {_core_of(cpu, root) for cpu in os.sched_getaffinity(0)}
    return max(1, min([len(cores), *(math.ceil(quota) for quota in _quotas(root))]))


def settle_threads(workers: int = 1) -> None:
    """Set how many threads torch computes on, and that they sleep while they wait; call it before torch is loaded.

    Threads that wait are told by default to spin, and on a busy machine they take the core of those that they wait
    for. Variables that a person has set stay as they are.

    Parameters
    ----------
    workers
        Number of processes that share the cores.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // workers)))


def _core_of(cpu: int, root: Path) -> str:
    siblings = root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
    try:
        return siblings.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return str(cpu)


def _quotas(root: Path) -> Iterator[float]:
    """Yield the cores' worth of time that each control group allows; most set no limit."""
    for version, group in control_groups("cpu", root):
        try:
            if version == 2:
                quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
            else:
                quota, period = (
                    (group / f"cpu.cfs_{name}_us").read_text(encoding="ascii") for name in ("quota", "period")
                )
            if quota != "max" and int(quota) > 0 and int(period) > 0:
                yield int(quota) / int(period)
        except (OSError, ValueError):
            continue  # no such group here, the topmost one, which has no limit, or a form that is not known
