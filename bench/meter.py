"""Seconds and peak memory of the stages of a row, inside of the row's own process."""

import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

STAGES = ("read", "preprocess", "network", "labels", "SEG")


class Meter:
    """Collects figures of one run; peaks are those since the last stage began.

    Parameters
    ----------
    device
        Where the row computes.
    """

    def __init__(self, device: str) -> None:
        self._cuda = device == "cuda"
        self.seconds: dict[str, float] = {}
        self.peak_gb: dict[str, float] = {}
        self.gpu_gb: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what happens inside."""
        gc.collect()
        print_stage(name)
        self.reset()
        start = self.now()
        yield
        self.seconds[name] = self.now() - start
        self.peak(name)

    def now(self) -> float:
        """Seconds on the clock when the device has done what it was asked for."""
        if self._cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    def reset(self) -> None:
        """Forget the peaks so far."""
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()

    def peak(self, name: str) -> None:
        """Keep the peaks since the last reset as a stage's."""
        self.peak_gb[name] = peak_rss_gb()
        if self._cuda:
            self.gpu_gb[name] = torch.cuda.max_memory_allocated() / 1e9

    def figures(self) -> dict[str, Any]:
        """What a result holds of a run."""
        return {"seconds": self.seconds, "peak_gb": self.peak_gb, "gpu_gb": self.gpu_gb}


def peak_rss_gb() -> float:
    """Largest resident memory of this process since it was last reset."""
    # Not getrusage, whose maximum a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9


def print_stage(name: str) -> None:
    """Tell the process that watches which stage begins: a row that is killed cannot tell it any more."""
    sys.stdout.write(f"stage {name}\n")
    sys.stdout.flush()
