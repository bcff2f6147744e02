"""nnU-Net and this project side by side, stage by stage: seconds, peak memory and agreement, in one run.

    python -m bench.peers                             the cases with a target, under 45 minutes on two cores
    python -m bench.peers --cases ct-3 thick-20       others by name: see bench/cases.py
    python -m bench.peers --device cuda               with a GPU, some minutes
    python -m bench.peers --cases ct-20 --rows exact  a part; earlier results stay in the file
    python -m bench.peers --quick                     small cases, to see that it runs

Every row runs in a process of its own, is cold in its first run and warm in further ones, and is ended if it needs
more memory than the limit. The network runs in the first run of a case with made logits only: its logits are replaced
(see ``bench.made``), so that further runs show the stages around it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import cold_start, floors, machine
from bench.cases import BY_NAME, CASES, GPU_CASES, ON_CPU, QUICK, WITH_EQUAL, Case, prepare
from bench.children import Limits, available_gb, run_child
from bench.data import DATA
from bench.table import PAGE, page_with, table_of
from segmentation.package.package import load_package

RESULTS = Path(__file__).parent / "results" / "peers.json"
OTHERS = ("cold_start", "seg_writing", "postprocessing", "busy_core", "node_queue")
SMALL_SERIES = DATA / "sts-002-ct" / "dicom"
WHOLE_SERIES, ON_WHOLE_SERIES = DATA / "crlm-ct-1006", ("busy_core", "node_queue")


def main() -> None:
    """Measure, write the results, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--cases", nargs="+", help="cases of the table, or " + ", ".join(OTHERS))
    parser.add_argument("--rows", nargs="+", choices=(*WITH_EQUAL, ON_CPU))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--memory-gb", type=float, help="memory limit of a row in GB; default: 85 %% of free memory")
    parser.add_argument("--seconds", type=float, default=900, help="time limit of a row")
    parser.add_argument("--work", type=Path, help="folder in which series, models and logits are kept for later runs")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="peers-") as temporary:
        results = run(arguments, (arguments.work or Path(temporary)).resolve())
    sys.stdout.write(table_of(results))
    if arguments.results == RESULTS:
        PAGE.write_text(page_with(results), encoding="utf-8")


def run(arguments: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Measure the requested cases and rows, and write the file after each row."""
    results: dict[str, Any] = {"machine": machine.describe(arguments.device), "cases": {}}
    if (arguments.cases or arguments.rows) and arguments.results.exists():
        results = json.loads(arguments.results.read_text(encoding="utf-8")) | {"machine": results["machine"]}
    wanted: Sequence[Case] = QUICK if arguments.quick else GPU_CASES if arguments.device == "cuda" else CASES
    if arguments.cases:
        known = (*wanted, *BY_NAME) if wanted is CASES else wanted
        wanted = [case for case in known if case.name in arguments.cases]
    for case in wanted:
        if not prepare(case, work / case.name):
            _tell(f"{case.name}: no {case.series} below SEGNODE_TEST_DATA")
            continue
        found = results["cases"].setdefault(case.name, {"what": describe(case), "rows": {}})
        for row in [row for row in case.rows if not arguments.rows or row in arguments.rows]:
            _tell(f"{case.name}: {row}")
            limits = Limits(arguments.memory_gb or 0.85 * available_gb(), arguments.seconds)
            device = "cpu" if row == ON_CPU else arguments.device
            figures = run_child(row, work / case.name, device, 1 if row in case.once else 1 + case.warm, limits)
            found["rows"][row] = figures | compared(work / case.name, row, figures)
            if row == "exact" and case.shape is not None and case.name.startswith("ct-"):
                found["floors"] = floors_of(case, work / case.name, figures, results["machine"])
            _write(results, arguments.results)
    for name in OTHERS:
        if name in (arguments.cases or (() if arguments.quick else OTHERS)):
            _tell(name)
            if (seconds := other(name, work)) is not None:
                results[name] = seconds
            _write(results, arguments.results)
    return results


def describe(case: Case) -> str:
    """Describe a case in words."""
    made = {"anatomy": "logits like anatomy's", "random": "random logits", "network": "the network's own logits"}
    network = {"tiny": "a tiny network", "full": "a network of nnU-Net's size", "demo": "the demonstration model"}
    image = case.series or "{} x {} x {} at {} x {} x {} mm".format(*(case.shape or ()), *case.spacing)
    grid = "" if case.model == "demo" else " to {} x {} x {} mm".format(*case.target)
    return f"{image}{grid}, {case.classes} classes, {network[case.model]}, {made[case.logits]}"


def compared(folder: Path, row: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Compare a row's first run with nnU-Net's, and return the agreement."""
    stock = folder / "stock.json"
    if row == "stock" or "ended" in figures or not stock.exists():
        return {}
    theirs, ours = (np.load(folder / f"{name}-labels.npy", mmap_mode="r") for name in ("stock", row))
    found: dict[str, Any] = {
        "labels_differ": sum(int((a != b).sum()) for a, b in zip(theirs, ours, strict=True)),
        "voxels": theirs.size,
    }
    theirs, ours = (np.load(folder / f"{name}-data.npy", mmap_mode="r") for name in ("stock", row))
    if theirs.shape != ours.shape:
        return found
    distance = max(float(np.abs(a - b).max()) for a, b in zip(theirs[0], ours[0], strict=True))
    first, second = (np.load(folder / f"{name}-checksums.npy") for name in ("stock", row))
    return found | {
        "data_sd": distance / float(theirs.std()),
        "planes_equal": int((first == second).sum()),
        "planes": len(first),
    }


def floors_of(case: Case, folder: Path, figures: dict[str, Any], units: dict[str, Any]) -> dict[str, Any]:
    """Compute the floors of a case's stages, in seconds of this machine and in words."""
    (configuration,) = load_package(folder / "models" / "model").manifest.configurations
    work = floors.floors_of(
        case.shape or (), figures["grid"], case.classes, figures["boundary_share"], configuration, 0.5
    )
    found = {
        stage: {
            "seconds": least.seconds(units, "double" if stage == "preprocess" else "single"),
            "why": f"{least.gbytes:.2f} GB moved, {least.gflop:.1f} GFLOP",
        }
        for stage, least in work.items()
    }
    labels = np.load(folder / "exact-labels.npy", mmap_mode="r")
    return found | {"SEG": {"seconds": floors.packing_seconds(labels), "why": "numpy.packbits on the same masks"}}


def other(name: str, work: Path) -> dict[str, Any] | None:
    """Measure one of the figures beside the cases; return ``None`` if its real series is missing."""
    if name == "cold_start":
        return cold_start.measure(SMALL_SERIES) if SMALL_SERIES.is_dir() else None
    if name in ON_WHOLE_SERIES and not WHOLE_SERIES.is_dir():
        return None
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [str(folder)] if name == "seg_writing" else []
    command: Sequence[str] = [sys.executable, "-m", f"bench.{name}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _write(results: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
