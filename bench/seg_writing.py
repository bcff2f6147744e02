"""The time to make and write a SEG of many segments, beside ``numpy.packbits`` on the same masks.

python -m bench.seg_writing FOLDER [--slices 400] [--segments 117] [--size 512]
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.files import write_synced
from core.label_map import LabelMap
from core.model_config import Channel, LabelSpec, ModelConfig, SeriesRule
from core.volume import Geometry
from dicom_io.images.study import read_studies
from dicom_io.images.volume import read_volume
from dicom_io.results.seg.build import SegContext, build_seg, write_seg
from phantom.anatomy import Phantom
from phantom.series import write_series

REPEATS = 3


def make_mask(shape: tuple[int, int, int], segments: int) -> NDArray[np.uint8]:
    """Make a mask of ellipsoids, one for each segment, later ones over earlier ones."""
    rng = np.random.default_rng(0)
    mask = np.zeros(shape, dtype=np.uint8)
    for value in range(1, segments + 1):
        centre = [size * rng.uniform(0.1, 0.9) for size in shape]
        radius = [max(1.5, size * rng.uniform(0.05, 0.12)) for size in shape]
        box = tuple(slice(max(0, int(c - r)), int(c + r) + 1) for c, r in zip(centre, radius, strict=True))
        z, y, x = (
            ((np.arange(part.start, min(part.stop, size)) - c) / r) ** 2
            for part, size, c, r in zip(box, shape, centre, radius, strict=True)
        )
        mask[box][z[:, None, None] + y[:, None] + x < 1] = value
    return mask


def measure(folder: Path, shape: tuple[int, int, int], segments: int) -> dict[str, Any]:
    """Measure seconds, as medians of several runs; ``durable_s`` is what writing the same bytes takes, durably."""
    mask = make_mask(shape, segments)
    geometry = Geometry(shape, (1.5, 0.78, 0.78), (0.0, 0.0, 0.0), np.eye(3))
    write_series(Phantom(mask.astype(np.int16), mask, geometry, "CT", None, 0), folder / "series")
    (study,) = read_studies(folder / "series")
    volume = read_volume(study.series[0])
    specs = tuple(LabelSpec(value=v, name=f"organ {v}", colour=(v % 256, 90, 40)) for v in range(1, segments + 1))
    config = ModelConfig.model_validate(
        {
            "schema": 1,
            "name": "many",
            "version": "1",
            "orientation": "acquired",
            "labels": specs,
            "channels": [Channel(name="CT", series=SeriesRule(modality=("CT",)))],
        }
    )
    label_map = LabelMap(mask, volume.geometry, specs)
    packing, building, writing, durable = [], [], [], []
    for _ in range(REPEATS):
        masks = [plane == v for v in range(1, segments + 1) for plane in mask if (plane == v).any()]
        start = time.perf_counter()
        for one in masks:
            np.packbits(one, bitorder="little").tobytes()
        packing.append(time.perf_counter() - start)
        frames = len(masks)
        del masks
        start = time.perf_counter()
        seg = build_seg(label_map, volume, study.series[0].instances, SegContext(config, "00" * 32, "0"))
        building.append(time.perf_counter() - start)
        start = time.perf_counter()
        write_seg(seg, folder / "many.seg.dcm")
        writing.append(time.perf_counter() - start)
        data = (folder / "many.seg.dcm").read_bytes()
        start = time.perf_counter()
        write_synced(folder / "same.bytes", data)
        durable.append(time.perf_counter() - start)
        (folder / "same.bytes").unlink()
        del data
    return {
        "shape": shape,
        "segments": segments,
        "frames": frames,
        "file_mb": (folder / "many.seg.dcm").stat().st_size / 1e6,
        "packbits_s": statistics.median(packing),
        "build_s": statistics.median(building),
        "write_s": statistics.median(writing),
        "durable_s": statistics.median(durable),
    }


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--segments", type=int, default=117)
    parser.add_argument("--size", type=int, default=512)
    arguments = parser.parse_args()
    shape = (arguments.slices, arguments.size, arguments.size)
    sys.stdout.write(json.dumps(measure(arguments.folder, shape, arguments.segments)) + "\n")


if __name__ == "__main__":
    main()
