"""Every figure that has a target on a GPU, in one run of less than 8 minutes; started by ``bench/gpu.sh``.

Each step's items run in processes of their own (`bench.gpu.items`), and the results are written after each, so that a
machine that is lent for minutes leaves whatever it got to.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cases import ON_CPU
from bench.children import Limits, available_gb, run_child
from bench.gpu import components, dicom_to_seg, fast_segmentator, options, parity, prepared
from bench.gpu.items import Clock, Figures, Setting, measured
from bench.gpu.report import report_of
from bench.peers import compared, describe

RESULTS = Path(__file__).parents[1] / "results" / "gpu.json"
ALL_S = 465.0
"""Seconds of the whole, with some left of 8 minutes for the start and the report."""
ROW_S = 120.0


@dataclass(frozen=True)
class Step:
    """Items of one module, with the seconds that one may take."""

    module: str
    items: Sequence[str]
    seconds: float


def main() -> None:
    """Measure, write the results, and print the report; exit 1 if anything could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="tiny cases on the CPU, to see that every step runs")
    parser.add_argument("--results", type=Path, help=f"JSON file; by default {RESULTS.name} unless it is a dry run")
    arguments = parser.parse_args()
    file = arguments.results or (None if arguments.dry_run else RESULTS)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as folder:
        tiny = arguments.dry_run
        setting = Setting("cpu" if tiny else "cuda", "tiny" if tiny else "full", Path(folder))
        for step, item, figures in run(setting, Clock(ALL_S)):
            results.setdefault(step, {})[item] = figures
            sys.stderr.write(f"{step}: {item}{': ' + why if (why := failure(figures)) else ''}\n")
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(report_of(results))
    sys.exit(any(failure(figures) for items in results.values() for figures in items.values()))


def run(setting: Setting, clock: Clock) -> Iterator[tuple[str, str, Figures]]:
    """Yield the name of a step, an item of it and its figures, the most wanted first."""
    yield from _items("machine", Step("bench.gpu.device", (setting.device,), 60), setting, clock)
    yield from _items("prepared", Step(prepared.__name__, prepared.ITEMS, 90), setting, clock)
    yield from _items("dicom_to_seg", Step(dicom_to_seg.__name__, dicom_to_seg.ITEMS, 150), setting, clock)
    yield from _rows(setting, clock)
    yield from _items("parity", Step(parity.__name__, parity.ITEMS[setting.size], 45), setting, clock)
    yield from _items("options", Step(options.__name__, options.ITEMS[setting.size], 45), setting, clock)
    yield from _items("components", Step(components.__name__, components.ITEMS, 60), setting, clock)
    yield from _items("peers", Step(fast_segmentator.__name__, fast_segmentator.ITEMS, ROW_S), setting, clock)


def failure(figures: Figures) -> str:
    """Say why there are no figures; empty if there are."""
    return str(figures.get("failed") or figures.get("ended") or "")


def _items(name: str, step: Step, setting: Setting, clock: Clock) -> Iterator[tuple[str, str, Figures]]:
    for item, figures in measured(step.module, step.items, setting, step.seconds, clock):
        yield name, item, figures


def _rows(setting: Setting, clock: Clock) -> Iterator[tuple[str, str, Figures]]:
    """Measure the rows of the table as `bench.peers` does."""
    case, folder = prepared.TABLE[setting.size], setting.folder / "table"
    for row in case.rows:
        if not (folder / "case.json").exists():
            yield "table", row, {"failed": "its case could not be prepared"}
            continue
        limits = Limits(0.85 * available_gb(), clock.left(ROW_S))
        device = "cpu" if row == ON_CPU else setting.device
        figures = run_child(row, folder, device, 1 if row in case.once else 1 + case.warm, limits)
        yield "table", row, figures | compared(folder, row, figures) | {"what": describe(case)}


if __name__ == "__main__":
    main()
