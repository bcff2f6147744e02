"""Thousands of made images of a few pixels, and the memory that ``segnode series`` takes to look at them.

Call it as ``python -m tests.support.many_headers --count 50000``: it writes them, measures, and ends with 1 where the
command took more than `MOST_BYTES`.
"""

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from pydicom.dataset import Dataset

from tests.support.series_helpers import ct_series

MOST_BYTES = 10**9
"""Of 50,000 images."""

IN_A_SERIES, IN_A_FOLDER = 500, 1000
_COMMAND = """
import atexit
from pathlib import Path
from app.cli.main import main

atexit.register(lambda: Path({!r}).write_bytes(Path("/proc/self/status").read_bytes()))
main()
"""
"""The peak is read by the process itself: what the kernel tells its parent is never less than the parent's own."""

_NUMBER, _SERIES, _PLACE = "1111111", "2222222", "-33333.333"
"""Texts that the file of an image has in the places where another has its own, of one length."""


class Measured(NamedTuple):
    """The end of the command."""

    code: int
    output: bytes
    peak_bytes: int
    seconds: float


def _pattern() -> bytes:
    image: Dataset = deepcopy(ct_series()[0])
    image.Rows = image.Columns = 4
    image.PixelData = bytes(32)
    # As many attributes as a scanner writes: those of the phantom are fewer.
    for element in range(60):
        image.add_new((0x0018, 0x9004 + element), "LO", f"parameter {element} of the protocol, as on all images")
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.8.498.99.{_NUMBER}"
    image.SeriesInstanceUID = f"1.2.826.0.1.3680043.8.498.98.{_SERIES}"
    image.ImagePositionPatient = ["-120.5", "-130.25", _PLACE]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.InstanceNumber, image.ContentTime = 1, f"10{_NUMBER[:4]}.{_NUMBER[:6]}"
    written = BytesIO()
    image.save_as(written, enforce_file_format=True)
    return written.getvalue()


def write_images(folder: Path, count: int) -> None:
    """Write a number of images, 500 a series."""
    pattern = _pattern()
    number = _NUMBER.encode()
    for index in range(count):
        series, place = divmod(index, IN_A_SERIES)
        data = pattern.replace(b"99." + number, b"99.%07d" % (1_000_000 + index))
        data = data.replace(_SERIES.encode(), b"%07d" % (1_000_000 + series))
        data = data.replace(_PLACE.encode(), b"%010.3f" % (place * 1.25))
        data = data.replace(number[:4] + b"." + number[:6], b"%04d.%06d" % (index // 60 % 6000, index))
        here = folder / f"{index // IN_A_FOLDER:03}"
        here.mkdir(parents=True, exist_ok=True)
        (here / f"{index:06}").write_bytes(data)


def measure(folder: Path) -> Measured:
    """Run ``segnode series --json`` on a folder, in a process of its own, and return its largest memory."""
    with tempfile.TemporaryDirectory() as kept:
        status = Path(kept) / "status"
        command = [sys.executable, "-c", _COMMAND.format(str(status)), "series", str(folder), "--json"]
        begun = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], check=False)  # noqa: S603 - our own interpreter
        peak = int(status.read_text(encoding="ascii").split("VmHWM:")[1].split()[0]) * 1024
        return Measured(done.returncode, done.stdout, peak, time.monotonic() - begun)


def main() -> None:
    """Measure as many images as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=50_000)
    count = parser.parse_args().count
    logging.basicConfig(level=logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), count)
        found = measure(Path(folder))
    for name, figure in (("MB at most", found.peak_bytes / 1e6), ("ms a file", found.seconds * 1000 / count)):
        logging.info("%s  %.1f", name, figure)
    sys.exit(found.code or found.peak_bytes > MOST_BYTES)


if __name__ == "__main__":
    main()
