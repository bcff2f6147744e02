"""The data of a case: an image like a CT, and logits like anatomy's or, as the worst case, random ones.

The image is a body of 40 HU with noise of 30 in air. Each class of the logits but the first is an ellipsoid in the
body; its logit is ``12 tanh(d / 6 mm)`` with the distance ``d`` to its surface, positive inside, so that it falls from
12 to -12 within some 2 cm as a trained network's does; background has the same of the nearest surface, with the other
sign; all have noise of 0.3. Random logits are noise of 3 alone, so that hardly any two neighbours agree.

    python -m bench.made FILE SPECIFICATION

writes logits in a process of its own, so that making them counts in no row's memory or time.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

BODY = (0.65, 0.85)
"""Half axes of the body's section along rows and columns, as fractions of half the image."""
EDGE_MM = 6.0
RADIUS_MM = (20.0, 70.0)
HEIGHT = 12.0
NOISE = 0.3
RANDOM_NOISE = 3.0


@dataclass(frozen=True)
class Logits:
    """The specification of made logits.

    Attributes
    ----------
    classes
        Number of classes, background included.
    image_mm
        Size of the whole image in mm along each axis.
    start_mm, stop_mm
        The part of the image, in mm, that the network's grid covers.
    grid
        Number of the network's voxels along each axis.
    random
        True for noise alone, which is the worst case.
    """

    classes: int
    image_mm: tuple[float, ...]
    start_mm: tuple[float, ...]
    stop_mm: tuple[float, ...]
    grid: tuple[int, ...]
    random: bool

    def path(self, folder: Path) -> Path:
        """Return the file with these logits, float16 ``(class, z, y, x)``; it is made if it is missing."""
        text = json.dumps(asdict(self))
        path = folder / f"logits-{'-'.join(map(str, self.grid))}-{'random' if self.random else 'anatomy'}.f16"
        if not path.exists():
            command = [sys.executable, "-m", "bench.made", str(path), text]
            subprocess.run(command, check=True)  # noqa: S603 - our own interpreter
        return path


def make_image(shape: Sequence[int]) -> NDArray[np.int16]:
    """Make an image in HU ``(slice, row, column)``."""
    rng = np.random.default_rng(0)
    y, x = (np.linspace(-1, 1, size) for size in shape[1:])
    body = (y[:, None] / BODY[0]) ** 2 + (x / BODY[1]) ** 2 < 1
    image = np.empty(tuple(shape), dtype=np.int16)
    for plane in image:
        plane[:] = np.where(body, 40, -1000) + rng.normal(0, 30, body.shape)
    return image


def write_logits(path: Path, wanted: Logits) -> None:
    """Write a file whose name appears with all of its content."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        if wanted.random:
            rng = np.random.default_rng(0)
            for _ in range(wanted.classes):
                noise = rng.standard_normal(wanted.grid, dtype=np.float32)
                (noise * np.float32(RANDOM_NOISE)).astype(np.float16).tofile(file)
        else:
            _write_anatomy(file, wanted)
    part.replace(path)


def _write_anatomy(file: BinaryIO, wanted: Logits) -> None:
    places, noise = np.random.default_rng(1), np.random.default_rng(2)
    axes = [
        (start + (np.arange(count) + 0.5) * (stop - start) / count).astype(np.float32)
        for start, stop, count in zip(wanted.start_mm, wanted.stop_mm, wanted.grid, strict=True)
    ]
    nearest = np.full(wanted.grid, -np.inf, dtype=np.float32)
    plane = int(np.prod(wanted.grid)) * 2
    for index in range(1, wanted.classes):
        centre, radius = _ellipsoid(places, wanted.image_mm)
        z, y, x = (((line - c) / r) ** 2 for line, c, r in zip(axes, centre, radius, strict=True))
        distance = 1 - np.sqrt(z[:, None, None] + y[:, None] + x)
        distance *= np.float32(min(radius))
        np.maximum(nearest, distance, out=nearest)
        file.seek(index * plane)
        _logit(distance, noise).tofile(file)
    file.seek(0)
    _logit(-nearest, noise).tofile(file)


def _ellipsoid(rng: np.random.Generator, image_mm: Sequence[float]) -> tuple[list[float], list[float]]:
    spread = (0.4, 0.6 * BODY[0] / 2, 0.6 * BODY[1] / 2)
    centre = [size * (0.5 + rng.uniform(-part, part)) for size, part in zip(image_mm, spread, strict=True)]
    return centre, [rng.uniform(*RADIUS_MM) for _ in image_mm]


def _logit(distance: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float16]:
    logit: NDArray[np.float32] = np.tanh(distance / np.float32(EDGE_MM)) * np.float32(HEIGHT)
    logit += rng.standard_normal(distance.shape, dtype=np.float32) * np.float32(NOISE)
    half: NDArray[np.float16] = logit.astype(np.float16)
    return half


if __name__ == "__main__":
    write_logits(Path(sys.argv[1]), Logits(**json.loads(sys.argv[2])))
