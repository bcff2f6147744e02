"""The time that the demonstration model's post-processing takes on a made chest.

python -m bench.postprocessing [--slices 275] [--size 512]
"""

import argparse
import json
import statistics
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from bench.cases import DEMO
from core.label_map import LabelMap
from core.volume import Geometry
from segmentation.package.package import open_package
from segmentation.postprocessing.steps import postprocess

REPEATS = 3
SPACING = (1.25, 0.78, 0.78)
BODY, LUNG, BONE = 1, 2, 3
COARSE = 4
"""Edge of the noise's grains, in voxels."""


def make_chest(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Make a body with a table under it, lungs with vessels in them and specks around, a spine and bits of bone."""
    grains = np.random.default_rng(0).normal(size=tuple(-(-size // COARSE) for size in shape)).astype(np.float32)
    noise = zoom(gaussian_filter(grains, 1), COARSE, order=0)[tuple(map(slice, shape))]
    noise /= noise.std()
    z, y, x = np.ogrid[tuple(slice(-1, 1, size * 1j) for size in shape)]
    mask = np.zeros(shape, dtype=np.uint8)
    mask[np.broadcast_to((y / 0.65) ** 2 + (x / 0.85) ** 2 < 1, shape)] = BODY
    mask[:, int(0.9 * shape[1]) : int(0.93 * shape[1]), shape[2] // 8 : -shape[2] // 8] = BODY
    for centre in (-0.38, 0.38):
        lung = (z / 0.9) ** 2 + ((y + 0.05) / 0.42) ** 2 + ((x - centre) / 0.28) ** 2 < 1
        mask[lung & (noise < 1.6)] = LUNG
    mask[(noise > 2.2) & (mask == 0)] = LUNG
    mask[((y - 0.45) / 0.12) ** 2 + (x / 0.1) ** 2 + 0 * z < 1] = BONE
    mask[(noise < -2.4) & (mask == BODY)] = BONE
    return mask


def measure(shape: tuple[int, int, int]) -> dict[str, Any]:
    """Measure seconds, as medians of several runs, by step and in all."""
    config = open_package(DEMO).config
    geometry = Geometry(shape, SPACING, (0.0, 0.0, 0.0), np.eye(3))
    found: dict[str, list[float]] = {}
    for _ in range(REPEATS):
        label_map = LabelMap(make_chest(shape), geometry, config.labels)
        for number, step in enumerate(config.postprocessing, start=1):
            start = time.perf_counter()
            label_map = postprocess(label_map, (step,))
            found.setdefault(f"{number} {step.step}", []).append(time.perf_counter() - start)
    steps = {name: statistics.median(seconds) for name, seconds in found.items()}
    return {"shape": shape, "steps": steps, "total_s": sum(steps.values())}


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=275)
    parser.add_argument("--size", type=int, default=512)
    arguments = parser.parse_args()
    sys.stdout.write(json.dumps(measure((arguments.slices, arguments.size, arguments.size))) + "\n")


if __name__ == "__main__":
    main()
