"""The cost of tilted slices against the same slices in line, and of those against an earlier checkout.

    python -m bench.geometry FOLDER [--before CHECKOUT] [--rounds 5]

The folder holds one tilted series of CT. Of it a copy is made whose slices follow each other along their normal, so
that both have the same voxels and distances. Every kind of run has a process of its own, on one thread, which reads
its series and segments it by the demonstration model of its checkout. They take turns, after a first round that is
not counted; the least processor time of each counts.
"""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

ROOT = Path(__file__).parents[1]
TILTED, IN_LINE, BEFORE = "tilted", "in line", "in line, before"
RATIOS = ((TILTED, IN_LINE, 1.15), (IN_LINE, BEFORE, 1.03))
"""Two kinds of run, and how much more the first may cost."""


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--before", type=Path, help="another checkout, to compare slices in line with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    if arguments.serve:
        _serve(arguments.folder)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder, straight = arguments.folder.resolve(), Path(scratch)
        put_in_line(folder, straight)
        runs = {TILTED: (ROOT, folder), IN_LINE: (ROOT, straight)}
        if arguments.before:
            runs[BEFORE] = (arguments.before.resolve(), straight)
        logging.info("%s", "\n".join(report_of(measure(runs, arguments.rounds))))


def put_in_line(folder: Path, straight: Path) -> None:
    """Copy the images of a tilted series, each moved within its plane to the normal through the first one."""
    first = None
    for path in sorted(folder.iterdir()):
        try:
            image = dcmread(path)
        except InvalidDicomError:
            continue
        if "ImagePositionPatient" not in image:
            continue
        position = np.array(image.ImagePositionPatient, float)
        row, column = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
        normal = np.cross(row, column) / np.linalg.norm(np.cross(row, column))
        first = position if first is None else first
        image.ImagePositionPatient = [f"{value:.6f}" for value in first + ((position - first) @ normal) * normal]
        image.save_as(straight / path.name)


def measure(runs: dict[str, tuple[Path, Path]], rounds: int) -> dict[str, list[float]]:
    """Return seconds of processor time for each kind of run, given by its checkout and its folder."""
    processes = {kind: _start(*run) for kind, run in runs.items()}
    seconds: dict[str, list[float]] = {kind: [] for kind in processes}
    for number in range(rounds + 1):
        for kind, process in processes.items():
            found = _ask(process)
            if number:
                seconds[kind].append(found)
    for process in processes.values():
        process.communicate("")
    return seconds


def report_of(seconds: dict[str, list[float]]) -> list[str]:
    """Write the least seconds of each kind of run, and the ratios."""
    least = {kind: min(found) for kind, found in seconds.items()}
    lines = [f"{kind:<16}{value:7.2f} s, least of {len(seconds[kind])}" for kind, value in least.items()]
    for over, under, most in RATIOS:
        if over in least and under in least:
            lines.append(f"{over} / {under}: {least[over] / least[under]:.3f} ({most:g} at most is wanted)")
    return lines


def _start(checkout: Path, folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, str(Path(__file__).resolve()), str(folder), "--serve"]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(  # noqa: S603 - our own interpreter
        command, cwd=checkout, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def _ask(process: "subprocess.Popen[str]") -> float:
    if process.stdin is None or process.stdout is None:
        raise ValueError("the process has no pipes")
    process.stdin.write("again\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def _serve(folder: Path) -> None:
    """Segment the series of a folder once for each line of standard input, by the modules of the current folder."""
    import torch

    from dicom_io.images.study import read_studies
    from dicom_io.images.volume import read_volume
    from segmentation.inference.engine import Engine
    from segmentation.package.package import load_package

    torch.set_num_threads(1)
    engine = Engine(load_package(Path.cwd() / "models" / "demo"), "cpu")
    options = {"geometry": "any"} if "geometry" in read_volume.__annotations__ else {}  # not in earlier checkouts
    for _ in sys.stdin:
        begun = time.process_time()
        (series,) = [one for one in read_studies(folder)[0].series if len(one.instances) > 1]
        engine.segment(read_volume(series, **options))  # type: ignore[arg-type]  # as above
        logging.info("%s", time.process_time() - begun)


if __name__ == "__main__":
    main()
