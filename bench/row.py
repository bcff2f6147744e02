"""One row of one case, in a process of its own.

    python -m bench.row ROW FOLDER DEVICE RUNS

``bench.cases.prepare`` wrote ``FOLDER``. The result is ``FOLDER/ROW.json``; the arrays for the comparison of rows are
``FOLDER/ROW-*.npy``. Standard output tells which stage begins.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.meter import Meter, peak_rss_gb, print_stage
from runtime.processor import settle_threads


def run_row(row: str, folder: Path, device: str, runs: int) -> dict[str, Any]:
    """Run a case ``runs`` times; the first run is the cold one."""
    case = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    print_stage("start")
    start = time.perf_counter()
    # Imported here, since what a row imports is part of its start.
    if row in ("stock", "torch"):
        from bench.stock_row import StockRow as Row
    else:
        settle_threads()  # before torch is loaded, as run, node and service do
        from bench.segnode_row import SegnodeRow as Row  # type: ignore[assignment]
    loaded = Row.load(case, folder, device, row)
    result: dict[str, Any] = {"start_s": time.perf_counter() - start, "start_gb": peak_rss_gb(), "runs": []}
    for number in range(runs):
        meter = Meter(device)
        arrays, facts = loaded.run(meter, first=number == 0)
        result["runs"].append(meter.figures())
        result |= facts
        for name, array in arrays.items():
            np.save(folder / f"{row}-{name}.npy", array)
    return result


if __name__ == "__main__":
    name, where, on, count = sys.argv[1:]
    content = run_row(name, Path(where), on, int(count))
    (Path(where) / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
