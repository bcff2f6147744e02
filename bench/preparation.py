"""Preparation one case at a time and in parallel, in one run: ``python -m bench.preparation``.

Cases of 512 x 512 x 100, resampled as a real plan would. It prints the ratio of the times, and of each run the largest
memory of a process beside the token that it was predicted to take (`training.preparation.memory`).
"""

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

from runtime.processor import usable_cores
from tests.support.tiny_training import DATASET, make_site, tiny_configuration, write_plans, write_raw
from training.preparation.prepare import Wanted, prepare

SHAPE = (100, 512, 512)
CASES = 6
PLENTY = 2**40


def seconds(folder: Path, cases: int, workers: int) -> float:
    """Prepare the same cases anew with some processes, and return the time that it took."""
    site = make_site(folder)
    write_raw(
        site.folders.raw, cases=[f"case_{number}" for number in range(cases)], shape=SHAPE, spacing=(2.5, 0.8, 0.8)
    )
    configuration = tiny_configuration() | {"spacing": [2.5, 1.0, 1.0]}
    write_plans(site, {"3d_fullres": configuration})
    begun = time.monotonic()
    done = prepare(site, [Wanted(DATASET, "nnUNetPlans", "3d_fullres")], workers, PLENTY)
    passed = time.monotonic() - begun
    logging.info("%d processes, s    %.1f", workers, passed)
    logging.info("%d processes, largest, MB    %.0f", workers, done.largest / 2**20)
    logging.info("%d processes, token, MB    %.0f", workers, done.token / 2**20)
    return passed


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="Prepare cases one at a time, and in parallel.")
    parser.add_argument("--cases", type=int, default=CASES)
    cases = parser.parse_args().cases
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as several:
        ratio = seconds(Path(one), cases, 1) / seconds(Path(several), cases, usable_cores())
    logging.info("ratio on %d cores    %.2f", usable_cores(), ratio)


if __name__ == "__main__":
    main()
