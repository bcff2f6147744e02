"""Preprocessing and label export beside nnU-Net's own, without a network: seconds, peak memory and agreement.

    python -m bench.around_the_network --classes 20 --slices 200

Every row runs in its own process on the same files. The image is a body of soft tissue with noise; the logits are made:
each class is an ellipsoid whose logit falls from 12 inside to -12 outside within a few voxels, with noise of 0.3 on all
of them, or with ``--random`` noise alone, the worst case. CPU seconds are printed beside seconds on the clock, since
they hold on a busy machine too.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segmentation.manifest import Configuration, Labels
from tests.segmentation.plans_of import PLAIN, make_configuration, stock_of

SPACING = (1.5, 0.78, 0.78)
TARGET = (1.5, 1.5, 1.5)
ROWS = ("stock", "stock, torch resampling", "segnode")
STAGES = ("preprocess", "labels")


def make_image(slices: int, size: int) -> NDArray[np.float32]:
    """CT in HU: a body of 40 in air, with noise of 30."""
    rng = np.random.default_rng(0)
    line = np.linspace(-1, 1, size)
    body = (line[:, None] / 0.8) ** 2 + line**2 < 0.9
    image = np.empty((1, slices, size, size), dtype=np.float32)
    for plane in image[0]:
        plane[:] = np.where(body, 40, -1000) + rng.normal(0, 30, (size, size))
    return image


def make_logits(classes: int, shape: tuple[int, int, int], *, random: bool) -> NDArray[np.float16]:
    """float16 ``(class, z, y, x)``, as the module's text says."""
    rng = np.random.default_rng(0)
    logits = np.empty((classes, *shape), dtype=np.float16)
    if random:
        for volume in logits:
            volume[:] = rng.standard_normal(shape, dtype=np.float32) * 3
        return logits
    z, y, x = (np.arange(size, dtype=np.float32) for size in shape)
    nearest = np.full(shape, -np.inf, dtype=np.float32)
    for volume in logits[1:]:
        centre = [rng.uniform(0.15, 0.85) * size for size in shape]
        radius = [rng.uniform(0.1, 0.25) * size for size in shape]
        squares = [((line - c) / r) ** 2 for line, c, r in zip((z, y, x), centre, radius, strict=True)]
        inside = (1 - np.sqrt(squares[0][:, None, None] + squares[1][:, None] + squares[2])) * min(radius)
        np.maximum(nearest, inside, out=nearest)
        volume[:] = 12 * np.tanh(inside / 4) + 0.3 * rng.standard_normal(shape, dtype=np.float32)
    logits[0] = 12 * np.tanh(-nearest / 4) + 0.3 * rng.standard_normal(shape, dtype=np.float32)
    return logits


def run_stage(row: str, stage: str, folder: Path) -> dict[str, float]:
    """Run one stage in this process; the result goes into ``folder``."""
    work = _segnode(stage, folder) if row == "segnode" else _stock(row, stage, folder)
    before = _peak_rss()
    clock, cpu = time.perf_counter(), time.process_time()
    result = work()
    figures = {
        "seconds": time.perf_counter() - clock,
        "cpu_seconds": time.process_time() - cpu,
        "peak_gb": _peak_rss(),
        "before_gb": before,
    }
    np.save(folder / f"{stage}-{ROWS.index(row)}.npy", result)
    return figures


def _peak_rss() -> float:
    # Not getrusage, whose maximum a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9


def _labels(folder: Path) -> tuple[torch.Tensor, Labels]:
    logits = torch.from_numpy(np.load(folder / "logits.npy"))
    return logits, Labels(values={"background": 0, **{f"class {i}": i for i in range(1, len(logits))}})


def _segnode(stage: str, folder: Path) -> Callable[[], NDArray[Any]]:
    from segmentation.export import Prediction, labels_of_prediction
    from segmentation.preprocessing import Grids, preprocess

    configuration = make_configuration(spacing=TARGET)
    if stage == "preprocess":
        image = np.load(folder / "image.npy")
        return lambda: preprocess(image, SPACING, configuration, PLAIN)[0].numpy()
    logits, labels = _labels(folder)
    shape = _image_shape(folder)
    box = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    new_shape = (logits.shape[1], logits.shape[2], logits.shape[3])
    prediction = Prediction(logits, Grids(shape, box, SPACING, TARGET, new_shape), configuration)
    return lambda: labels_of_prediction(prediction, labels)


def _stock(row: str, stage: str, folder: Path) -> Callable[[], NDArray[Any]]:
    # Imported before the clock starts; nnU-Net imports them when it is called.
    import nnunetv2.inference.export_prediction
    import nnunetv2.preprocessing.preprocessors.default_preprocessor  # noqa: F401 - for its effect

    function = "resample_data_or_seg_to_shape" if row == "stock" else "resample_torch_fornnunet"
    configuration: Configuration = make_configuration(spacing=TARGET, function=function)
    if stage == "preprocess":
        image = np.load(folder / "image.npy")
        return lambda: stock_of(configuration).preprocess(image, SPACING)[0]
    logits, labels = _labels(folder)
    shape = _image_shape(folder)
    properties = {
        "spacing": list(SPACING),
        "shape_before_cropping": shape,
        "shape_after_cropping_and_before_resampling": shape,
        "bbox_used_for_cropping": [[0, size] for size in shape],
    }
    return lambda: np.asarray(stock_of(configuration, labels).export(logits, properties, copy=False))


def _image_shape(folder: Path) -> tuple[int, int, int]:
    shape = np.load(folder / "image.npy", mmap_mode="r").shape
    return shape[1], shape[2], shape[3]


def _agreement(stage: str, folder: Path, row: str) -> str:
    theirs, ours = (np.load(folder / f"{stage}-{index}.npy", mmap_mode="r") for index in (0, ROWS.index(row)))
    if stage == "labels":
        return f"{sum(int((a != b).sum()) for a, b in zip(theirs, ours, strict=True))} of {theirs.size} voxels differ"
    largest = max(float(np.abs(a - b).max()) for a, b in zip(theirs[0], ours[0], strict=True))
    return f"at most {largest / float(theirs.std()):.1g} standard deviations apart"


def main() -> None:
    """Make the case, run every row in its own process, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--child", nargs=3, metavar=("ROW", "STAGE", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        row, stage, folder = arguments.child
        sys.stdout.write(json.dumps(run_stage(row, stage, Path(folder))) + "\n")
        return
    with tempfile.TemporaryDirectory() as name:
        _run_all(Path(name), arguments)


def _run_all(folder: Path, arguments: argparse.Namespace) -> None:
    size = round(arguments.size * SPACING[1] / TARGET[1])
    np.save(folder / "image.npy", make_image(arguments.slices, arguments.size))
    logits = make_logits(arguments.classes, (arguments.slices, size, size), random=arguments.random)
    np.save(folder / "logits.npy", logits)
    winners = np.stack([logits[:, index].argmax(0) for index in range(arguments.slices // 20, arguments.slices, 10)])
    del logits
    edges = (winners[:, 1:, 1:] != winners[:, :-1, :-1]).mean()
    sys.stdout.write(
        f"{arguments.slices} x {arguments.size} x {arguments.size}, {arguments.classes} classes, "
        f"{(winners > 0).mean():.0%} foreground, {edges:.1%} of diagonal neighbours differ, "
        f"{os.environ.get('OMP_NUM_THREADS', 'all')} threads\n"
        f"{'stage':<12}{'row':<26}{'s':>8}{'CPU s':>8}{'peak GB':>9}{'before':>8}   agreement with stock\n"
    )
    for stage in STAGES:
        for row in [row for row in ROWS if row in arguments.rows]:
            command = [sys.executable, "-m", "bench.around_the_network", "--child", row, stage, str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
            figures = json.loads(done.stdout.splitlines()[-1])
            agreement = "" if row == "stock" or "stock" not in arguments.rows else _agreement(stage, folder, row)
            sys.stdout.write(
                f"{stage:<12}{row:<26}{figures['seconds']:>8.2f}{figures['cpu_seconds']:>8.2f}"
                f"{figures['peak_gb']:>9.2f}{figures['before_gb']:>8.2f}   {agreement}\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
