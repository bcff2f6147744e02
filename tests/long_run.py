"""Tests that take hours, in parts of minutes: ``make test-long``, again after every interruption until all parts are
done.

Each part that ends leaves a line in ``build/test-long/parts.jsonl``: its name, commit, processor, seconds, exit code
and figures. One that passed at this commit is not run again unless ``--again`` asks for it; where files differ from
the commit, nothing counts as done. Exit code 1 where a part failed.
"""

import argparse
import json
import logging
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "build" / "test-long"
PYTEST = ("-m", "pytest", "-p", "no:cacheprovider", "--timeout=3600", "-q")
FUZZ_BLOCKS, FUZZ_TRIES = 10, "500"
HYPOTHESIS_SEEDS = 5
PACKAGE_SEEDS, PACKAGE_TRIES = 3, "1000"
FILE_SEEDS, FILE_TRIES = 5, "10000"
HEADER_SEEDS, HEADER_TRIES = 2, "10000"
VOXEL_BLOCKS, VOXEL_CASES = 10, 10
"""A hundred cases of 6.5 million labels."""
SOAKS, SOAK_SECONDS = 6, "1200"
TRAINING_KILLS = "50"
FIGURE = re.compile(r"^(?:INFO:\w+:)?(\S.*?\S) {2,}(\d+(?:\.\d+)?)$", re.MULTILINE)
ENDED = re.compile(r"(\d+) (passed|failed|skipped|errors?)\b")


@dataclass(frozen=True)
class Part:
    """One part.

    Attributes
    ----------
    name
        Of the part, its seed in it.
    arguments
        Of the interpreter.
    environment
        Variables to add.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def parts() -> Iterator[Part]:
    """All of them, the quick ones first."""
    for number in range(1, HYPOTHESIS_SEEDS + 1):
        chosen = ("-m", "hypothesis", f"--hypothesis-seed={number}", "tests")
        yield Part(f"examples, seed {number}", (*PYTEST, *chosen), {"SEGNODE_HYPOTHESIS": "long"})
    for number in range(FUZZ_BLOCKS):
        seeds = {"SEGNODE_FUZZ_SEED": str(1000 + 3 * number), "SEGNODE_FUZZ_TRIES": FUZZ_TRIES}
        yield Part(f"damage, seeds from {1000 + 3 * number}", (*PYTEST, "tests/faults/test_fuzz.py"), seeds)
    for seed in range(1, PACKAGE_SEEDS + 1):
        tries = {"SEGNODE_PACKAGE_SEED": str(seed), "SEGNODE_PACKAGE_TRIES": PACKAGE_TRIES}
        yield Part(f"packages, seed {seed}", (*PYTEST, "tests/segmentation/importing/test_mutated_json.py"), tries)
    for seed in range(1, FILE_SEEDS + 1):
        files = ("-m", "tests.faults.damaged_files", "--tries", FILE_TRIES, "--seed", str(seed))
        yield Part(f"image files, seed {seed}", files)
    for seed in range(1, HEADER_SEEDS + 1):
        headers = ("-m", "tests.faults.mutated_headers", "--tries", HEADER_TRIES, "--seed", str(seed))
        yield Part(f"headers, seed {seed}", headers)
    for first in range(0, VOXEL_BLOCKS * VOXEL_CASES, VOXEL_CASES):
        cases = ("-m", "tests.last_voxel", "--first", str(first), "--cases", str(VOXEL_CASES))
        yield Part(f"labels, cases from {first}", cases)
    yield Part("memory of 50,000 headers", ("-m", "tests.support.many_headers", "--count", "50000"))
    yield Part("cost of 3,000 slices", ("-m", "tests.support.many_slices", "--count", "3000"))
    kills = ("-m", "tests.training.runs.kills", "--kills", TRAINING_KILLS)
    yield Part(f"trainings killed {TRAINING_KILLS} times", kills)
    for seed in range(1, SOAKS + 1):
        soak = ("-m", "tests.faults.kills.soak", "--seconds", SOAK_SECONDS, "--seed", str(seed))
        yield Part(f"kills for {SOAK_SECONDS} s, seed {seed}", soak)


def figures_of(output: str) -> dict[str, float]:
    """Numbers that a part printed: those of a table of names and numbers, or pytest's counts."""
    found = {name: float(number) for name, number in FIGURE.findall(output)}
    return found or {what: float(number) for number, what in ENDED.findall(output[-500:])}


def processor() -> str:
    """Its model, as the kernel calls it."""
    path = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*:\s*(.+)$", path.read_text(), re.MULTILINE) if path.exists() else []
    return names[0] if names else platform.machine()


def commit() -> str:
    """The commit; ends in ``+`` where files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603, S607

    return git("rev-parse", "HEAD").strip() + ("+" if git("status", "--porcelain").strip() else "")


def done_at(lines: Sequence[str], at: str) -> set[str]:
    """Names of the parts that passed at a commit."""
    rows = [json.loads(line) for line in lines]
    return {row["part"] for row in rows if row["commit"] == at and row["exit"] == 0 and not at.endswith("+")}


def run_part(part: Part, folder: Path, at: str) -> dict[str, Any]:
    """Run one; its line."""
    begun = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own interpreter and modules
        [sys.executable, *part.arguments],
        cwd=ROOT,
        env={**os.environ, **part.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    (folder / f"{re.sub('[^0-9a-z]+', '-', part.name)}.log").write_text(done.stdout)
    row: dict[str, Any] = {"part": part.name, "commit": at, "processor": processor()}
    row |= {"ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "seconds": round(time.monotonic() - begun)}
    return row | {"exit": done.returncode, "figures": figures_of(done.stdout)}


def run_all(todo: Sequence[Part], folder: Path, at: str, *, again: bool = False) -> bool:
    """Run what is not done; whether all of that passed."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "parts.jsonl"
    done = done_at(kept.read_text().splitlines(), at) if kept.exists() and not again else set()
    passed = True
    for part in todo:
        if part.name in done:
            logging.info("%-40s done before", part.name)
            continue
        row = run_part(part, folder, at)
        with kept.open("a") as file:
            file.write(json.dumps(row) + "\n")
        passed &= row["exit"] == 0
        logging.info("%-40s exit %d, %d s  %s", part.name, row["exit"], row["seconds"], row["figures"])
    return passed


def main() -> None:
    """Run all parts, or say which there are."""
    parser = argparse.ArgumentParser(description="Run what takes hours, in parts.")
    parser.add_argument("--again", action="store_true", help="also what passed at this commit")
    parser.add_argument("--only", default="", help="parts whose name begins so")
    parser.add_argument("--list", action="store_true", help="say which parts there are")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    chosen = [part for part in parts() if part.name.startswith(arguments.only)]
    if arguments.list:
        logging.info("%s", "\n".join(part.name for part in chosen))
        return
    sys.exit(0 if run_all(chosen, KEPT, commit(), again=arguments.again) else 1)


if __name__ == "__main__":
    main()
