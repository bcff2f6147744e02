"""Seconds and peak memory of the stages of a row, measured inside the row's own process."""

import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STAGES = ("read", "preprocess", "network", "labels", "SEG")


class Meter:
    """The meter of one run; peaks are those since the last stage began.

    Parameters
    ----------
    device
        Device on which the row computes.
    """

    def __init__(self, device: str) -> None:
        self._gpu: Any = None
        if device == "cuda":
            import torch  # not on the CPU, where a row settles its threads before torch is loaded

            self._gpu = torch.cuda
        self.seconds: dict[str, float] = {}
        self.peak_gb: dict[str, float] = {}
        self.gpu_gb: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure seconds and peak memory of the block."""
        gc.collect()
        print_stage(name)
        self.reset()
        start = self.now()
        yield
        self.seconds[name] = self.now() - start
        self.peak(name)

    def now(self) -> float:
        """Read the clock in seconds after the device has finished its work."""
        if self._gpu is not None:
            self._gpu.synchronize()
        return time.perf_counter()

    def reset(self) -> None:
        """Forget the peaks so far."""
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        if self._gpu is not None:
            self._gpu.reset_peak_memory_stats()

    def peak(self, name: str) -> None:
        """Keep the peaks since the last reset as a stage's."""
        self.peak_gb[name] = peak_rss_gb()
        if self._gpu is not None:
            self.gpu_gb[name] = self._gpu.max_memory_allocated() / 1e9

    def figures(self) -> dict[str, Any]:
        """Return the figures of the run for its result."""
        return {"seconds": self.seconds, "peak_gb": self.peak_gb, "gpu_gb": self.gpu_gb}


def peak_rss_gb() -> float:
    """Read the largest resident memory of this process in GB since the last reset."""
    # Not getrusage, whose maximum a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9


def print_stage(name: str) -> None:
    """Tell the watching process which stage begins, because a row that is killed can no longer do so."""
    sys.stdout.write(f"stage {name}\n")
    sys.stdout.flush()
