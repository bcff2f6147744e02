"""The network beside one busy core: seconds on a quiet machine and beside a process that computes all the time.

    python -m bench.busy_core                            crlm-ct-1006, the demonstration model

Runs take turns, and the quickest of each kind counts. The other process computes on one core without a pause.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench.data import DATA
from runtime.processor import settle_threads

MODELS, MODEL = Path(__file__).parents[1] / "models", "demo"
BUSY = (sys.executable, "-c", "while True: pass")


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--series", type=Path, default=DATA / "crlm-ct-1006")
    arguments = parser.parse_args()
    settle_threads()  # before torch is loaded, as run, node and service do
    network = prepare(arguments.series)
    network()
    quiet, busy = [], []
    for _ in range(arguments.runs):
        quiet.append(network())
        with ExitStack() as stack:
            other = stack.enter_context(subprocess.Popen(BUSY))  # noqa: S603 - our own interpreter
            stack.callback(other.kill)
            busy.append(network())
    figures = {"quiet_s": quiet, "busy_s": busy, "slower": min(busy) / min(quiet)}
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


def prepare(series: Path) -> Callable[[], float]:
    """Load the model; return what runs it on the series, and gives the seconds of its network."""
    from app.graph_runner import Segmenter
    from app.study_run import StudyRun
    from segmentation.package.package import load_package

    segmenter = Segmenter({MODEL: load_package(MODELS / MODEL)}, "cpu")

    def network() -> float:
        with tempfile.TemporaryDirectory(prefix="bench-busy-") as output:
            return segmenter.run(StudyRun(series, Path(output), (MODEL,))).timings_s["network"]

    return network


if __name__ == "__main__":
    main()
