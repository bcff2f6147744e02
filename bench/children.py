"""Rows in processes of their own, with a limit on memory: a row that exceeds it is ended, which is then its result."""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLL_S = 0.1
LINES_KEPT = 12


@dataclass(frozen=True)
class Limits:
    """The limits of a row: resident memory in GB (1e9 bytes), and seconds."""

    memory_gb: float
    seconds: float


def available_gb() -> float:
    """Measure the memory that can be allocated now, in GB (1e9 bytes)."""
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    return int(text.split("MemAvailable:")[1].split()[0]) * 1024 / 1e9


def run_child(row: str, folder: Path, device: str, runs: int, limits: Limits) -> dict[str, Any]:
    """Run ``bench.row`` and return its figures, or ``{"ended": why, "stage": where, "peak_gb": most seen}``.

    ``why`` is ``out of memory``, ``out of time``, or ``failed``; for the last, standard error gives the details, and
    ``said`` its last line.
    """
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        command = [sys.executable, "-m", "bench.row", row, str(folder), device, str(runs)]
        process = subprocess.Popen(command, stdout=output, stderr=errors, text=True)  # noqa: S603 - our own interpreter
        peak, why = _watch(process, limits)
        output.seek(0)
        errors.seek(0)
        stages = [line.split()[1] for line in output.read().splitlines() if line.startswith("stage ")]
        failure = errors.read().splitlines()
    if why is None and process.returncode == 0:
        found: dict[str, Any] = json.loads((folder / f"{row}.json").read_text(encoding="utf-8"))
        return found
    if why is None and process.returncode == -9:
        why = "out of memory"  # by the kernel, before it was seen here
    if why is None and any("out of memory" in line or "MemoryError" in line for line in failure[-LINES_KEPT:]):
        why = "out of memory"
    if why is None:
        # The other rows are worth having all the same.
        why = "failed"
        sys.stderr.write("\n".join(failure[-LINES_KEPT:]) + "\n")
    ended = {"ended": why, "stage": stages[-1] if stages else "start", "peak_gb": peak, "limit_gb": limits.memory_gb}
    return ended | ({"said": failure[-1][:300]} if why == "failed" and failure else {})


def _watch(process: "subprocess.Popen[str]", limits: Limits) -> tuple[float, str | None]:
    """Wait for a process; return its peak memory in GB, and the reason if it was ended."""
    peak, why, start = 0.0, None, time.monotonic()
    while process.poll() is None:
        peak = max(peak, _resident_gb(process.pid))
        if peak > limits.memory_gb:
            why = "out of memory"
        elif time.monotonic() - start > limits.seconds:
            why = "out of time"
        if why is not None:
            process.kill()
            process.wait()
            break
        time.sleep(POLL_S)
    return peak, why


def _resident_gb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0.0  # it has just ended
    return pages * 4096 / 1e9
