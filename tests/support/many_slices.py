"""Series of thousands of small slices, regular and irregular, and their cost.

Call it as ``python -m tests.support.many_slices --count 3000``: it writes series of a quarter, a half and all of that,
has ``segnode run`` segment each by the demonstration model, in a process of its own, and ends with 1 where time or
memory grow by more than the number of slices.
"""

import argparse
import logging
import os
import resource
import subprocess
import sys
import tempfile
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset

from tests.support.series_helpers import ct_series

ROOT = Path(__file__).parents[2]
KINDS = ("regular", "irregular")
MOST_GROWTH = 3.0
"""Largest cost of the second half of the slices, over the second quarter: 2 where cost is linear, 4 where quadratic."""
NOTICED_MB = 30.0
"""Memory that comes and goes between two runs of one command."""

DRIFT_MM = 40.0
"""Of the last slice of an irregular series within its plane, however many there are."""

_UID, _NUMBER, _BACK, _HEAD, _THICKNESS = "1111111", "22222", "-3333.333", "-44444.444", "5.5555"
"""Texts of the pattern in whose places each slice has its own, of one length."""
_COMMAND = """
import atexit
from pathlib import Path
from app.cli.main import main

atexit.register(lambda: Path({!r}).write_bytes(Path("/proc/self/status").read_bytes()))
main()
"""


class Cost(NamedTuple):
    """The cost of one command."""

    code: int
    peak_mb: float
    seconds: float


def _pattern(pixels: int) -> bytes:
    image: Dataset = deepcopy(ct_series()[0])
    image.Rows = image.Columns = pixels
    y, x = np.indices((pixels, pixels)) / pixels - 0.5
    body = np.where(np.hypot(y, x) < 0.4, 1064, 24)  # water in air
    image.PixelData = body.astype(np.uint16).tobytes()
    image.PixelSpacing = [128 / pixels, 128 / pixels]
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.8.498.97.{_UID}"
    image.ImagePositionPatient = ["-64", _BACK, _HEAD]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.InstanceNumber, image.SliceThickness = int(_NUMBER), _THICKNESS
    written = BytesIO()
    image.save_as(written, enforce_file_format=True)
    return written.getvalue()


def write_slices(folder: Path, count: int, kind: str, pixels: int = 64) -> None:
    """Write a series: 1.25 mm apart, or the upper half 2.5 mm apart and all drifting as under a tilted gantry."""
    gaps = np.full(count - 1, 1.25)
    if kind == "irregular":
        gaps[count // 2 :] = 2.5
    heights = np.concatenate([[0.0], np.cumsum(gaps)])
    backs = -64 + (heights * DRIFT_MM / heights[-1] if kind == "irregular" else 0 * heights)
    pattern = _pattern(pixels)
    folder.mkdir(parents=True)
    for index, (back, height) in enumerate(zip(backs, heights, strict=True)):
        thickness = gaps[max(0, index - 1)]
        data = pattern.replace(b"97." + _UID.encode(), b"97.%07d" % (1_000_000 + index))
        data = data.replace(_BACK.encode(), b"%09.3f" % back).replace(_HEAD.encode(), b"%010.3f" % height)
        data = data.replace(_THICKNESS.encode(), b"%06.4f" % thickness)
        (folder / f"{index:06}").write_bytes(data.replace(_NUMBER.encode(), b"%05d" % (10_000 + index)))


def cost_of(folder: Path, out: Path) -> Cost:
    """Run ``segnode run`` on a folder by the demonstration model, on one thread."""
    status = out.with_suffix(".status")
    command = [sys.executable, "-c", _COMMAND.format(str(status)), "run", str(folder), str(out)]
    command += ["--model", "demo", "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "SEGNODE_MODELS": str(ROOT / "models")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=False).returncode  # noqa: S603 - our own interpreter
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = int(status.read_text(encoding="ascii").split("VmHWM:")[1].split()[0]) / 1024
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(code, peak, seconds)


def grows_linearly(quarter: float, half: float, whole: float, noticed: float = 0.0) -> bool:
    """Tell whether the second half costs no more than twice the second quarter, and half as much for chance."""
    return whole - half <= max(MOST_GROWTH * (half - quarter), noticed)


def main() -> None:
    """Measure series of both kinds, up to as many slices as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=3000)
    count = parser.parse_args().count
    logging.basicConfig(level=logging.INFO)
    well = True
    for kind in KINDS:
        costs = []
        for part in (count // 4, count // 2, count):
            with tempfile.TemporaryDirectory() as folder:
                write_slices(Path(folder) / "in", part, kind)
                costs.append(cost_of(Path(folder) / "in", Path(folder) / "out"))
            logging.info("MB at most, %d %s slices  %.1f", part, kind, costs[-1].peak_mb)
            logging.info("s of processor time, %d %s slices  %.1f", part, kind, costs[-1].seconds)
        well &= all(cost.code == 0 for cost in costs)
        well &= grows_linearly(*(cost.seconds for cost in costs))
        well &= grows_linearly(*(cost.peak_mb for cost in costs), NOTICED_MB)
    sys.exit(not well)


if __name__ == "__main__":
    main()
