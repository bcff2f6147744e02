"""Total and free memory, as the kernel, the container and the GPU report them.

References
----------
``proc(5)``, ``/proc/meminfo``; Linux kernel documentation, control groups v1 (``memory``) and v2.
"""

from dataclasses import dataclass
from pathlib import Path

from core.control_groups import control_groups

_VERSION_2 = ("memory.max", "memory.current", "inactive_file")
_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_UNLIMITED = 2**60
"""Limits above this (bytes) mean no limit: an unset limit of version 1 is nearly 2**63."""


@dataclass(frozen=True)
class Memory:
    """An amount of memory in bytes.

    Attributes
    ----------
    free
        The part that can be allocated now.
    total
        The part that could be allocated if no other process held any.
    """

    free: int
    total: int


def host_memory(root: Path = Path("/")) -> Memory:
    """Measure the host's memory: the machine's, or the container's if that has less.

    Parameters
    ----------
    root
        The folder that holds ``proc`` and ``sys``.
    """
    lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    kilobytes = {name: int(rest.split()[0]) for name, rest in (line.split(":", 1) for line in lines)}
    free, total = kilobytes["MemAvailable"] * 1024, kilobytes["MemTotal"] * 1024
    for limit, used in _limits(root):
        free, total = min(free, limit - used), min(total, limit)
    return Memory(max(free, 0), total)


def gpu_memory() -> Memory:
    """Measure the memory of the current CUDA device; blocks that torch caches for this process count as free."""
    import torch

    free, total = torch.cuda.mem_get_info()
    return Memory(free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated(), total)


def _limits(root: Path) -> list[tuple[int, int]]:
    """List limit and use in bytes of every control group that this process is in, each within the one above it."""
    found = []
    for version, group in control_groups("memory", root):
        found += _limit(group, *(_VERSION_2 if version == 2 else _VERSION_1))
    return found


def _limit(group: Path, limit_name: str, use_name: str, cache_name: str) -> list[tuple[int, int]]:
    try:
        limit, use = ((group / name).read_text(encoding="ascii").strip() for name in (limit_name, use_name))
        statistics = (group / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return []  # no such group here, or the topmost one, which has no limit
    if limit == "max" or int(limit) > _UNLIMITED:
        return []
    cached = sum(int(line.split()[1]) for line in statistics if line.split()[0] == cache_name)
    return [(int(limit), int(use) - cached)]
