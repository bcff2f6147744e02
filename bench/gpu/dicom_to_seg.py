"""DICOM to SEG by the five parts of 117 structures, cold and warm, with both memories; see `bench.gpu.items`."""

import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from app.graph_runner import Segmenter
from app.study_run import StudyRun
from bench.gpu.items import Figures, Setting, print_items
from bench.gpu.prepared import PARTS
from bench.meter import peak_rss_gb
from segmentation.package.package import load_package

ITEMS = ("large", "small")
RUNS = 2


def measure(item: str, setting: Setting) -> Figures:
    """Run one of ``ITEMS`` twice: the first run loads the networks."""
    segmenter = Segmenter({PARTS: load_package(setting.folder / "models" / PARTS)}, setting.device)
    runs: list[dict[str, Any]] = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory(prefix="bench-gpu-") as output:
            start = time.perf_counter()
            report = segmenter.run(StudyRun(setting.folder / item, Path(output), (PARTS,)))
            runs.append({"all_s": time.perf_counter() - start, "stages_s": dict(report.timings_s)})
            written = [path.stat().st_size for path in Path(output).rglob("*.dcm")]
            if not written:
                raise RuntimeError(f"no object was written: {report.outcome}, {report.reason}")
    cold, warm = runs
    return {"cold": cold, "warm": warm, "ram_gb": peak_rss_gb(), "gpu_gb": _gpu_gb(setting.device)}


def _gpu_gb(device: str) -> float | None:
    """Measure the GPU's memory that is taken now, in GB: torch keeps the most that it ever had, and CUDA its own."""
    if device != "cuda":
        return None
    free, total = torch.cuda.mem_get_info()
    return (total - free) / 1e9


if __name__ == "__main__":
    print_items(measure)
