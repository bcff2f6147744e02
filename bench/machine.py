"""The machine and its rates of copying and multiplying, which are the units of every floor."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

COPIED = 2**28
SIDE = 2048
REPEATS = 5


def describe(device: str) -> dict[str, Any]:
    """Describe the machine by names and rates; rates are the best of several, with the threads that the rows have."""
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = next(int(line.split()[1]) * 1024 / 1e9 for line in _lines("/proc/meminfo") if line.startswith("MemTotal"))
    source = torch.zeros(COPIED, dtype=torch.uint8)
    target = torch.empty_like(source)
    found: dict[str, Any] = {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(memory, 1),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "torch": torch.__version__,
        "amx_bf16": bool(torch.cpu.get_capabilities().get("amx_bf16", False)),
        "moved_gb_per_s": 2 * COPIED / 1e9 / _best(lambda: target.copy_(source)),
    }
    for name, dtype in (("single", torch.float32), ("double", torch.float64)):
        square = torch.rand((SIDE, SIDE), dtype=dtype)
        found[f"{name}_gflop_per_s"] = 2 * SIDE**3 / 1e9 / _best(lambda square=square: square @ square)  # type: ignore[misc]
    return found


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
