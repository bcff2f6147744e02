"""Labels of made CTs of 100 x 256 x 256 with 15 classes, all compared with stock nnU-Net's: files in, files out.

    python -m tests.last_voxel [--first 0] [--cases 10]

Each case has axes, spacings, a rescale slope and a model's grid of its own, all from its number. The sums are printed;
exit code 1 where a label, or a value that the network saw, differs.
"""

import argparse
import logging
import sys
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from core.volume import Geometry, Volume
from segmentation.importing.add import add_package
from segmentation.inference.engine import Engine
from segmentation.package.package import Package, load_package
from segmentation.preprocessing.preprocess import preprocess
from tests.support import stock_nnunet
from tests.support.tiny_models import volume_of, write_results_folder
from tests.support.tiny_plans import DATASET, TinyPlan

SHAPE = (100, 256, 256)
CLASSES = 15
PATCH = (40, 64, 64)
MILLIMETRES_PER_VOXEL = {0: (1.0, 5.0), 1: (0.5, 1.2), 2: (0.5, 1.2)}
"""Of the slices, and of rows and columns: from and to."""
COARSER = (1.1, 2.4)
"""The network's spacing as a multiple of the image's: from and to."""


@dataclass(frozen=True)
class Case:
    """A made CT and the grid of its model.

    Attributes
    ----------
    order
        Of the image's axes: which of them are slices, rows and columns.
    transpose
        ``transpose_forward`` of the model's plans.
    spacing, target
        Of the image, and of the network in its own order, in mm.
    slope, intercept
        From stored values to HU.
    """

    number: int
    order: tuple[int, ...]
    transpose: tuple[int, int, int]
    spacing: tuple[float, float, float]
    target: tuple[float, float, float]
    slope: float
    intercept: float


def case_of(number: int) -> Case:
    """Make up a case from its number."""
    rng = np.random.default_rng(number)
    orders = list(permutations(range(3)))
    order = orders[number % 6]
    transpose = orders[number // 6 % 6]
    spacing = tuple(round(float(rng.uniform(*MILLIMETRES_PER_VOXEL[axis])), 4) for axis in order)
    wider = [round(spacing[axis] * float(rng.uniform(*COARSER)), 4) for axis in transpose]
    return Case(
        number=number,
        order=order,
        transpose=(transpose[0], transpose[1], transpose[2]),
        spacing=(spacing[0], spacing[1], spacing[2]),
        target=(wider[0], wider[1], wider[2]),
        slope=float(rng.choice([1.0, 0.5, 2.0, 1.3, 0.0078125, 0.27])),
        intercept=float(rng.choice([-1024.0, -1000.0, 0.0, -8192.0])),
    )


def volume_of_case(case: Case) -> Volume:
    """Make its image: a body of soft tissue in air, stored as whole numbers and rescaled."""
    rng = np.random.default_rng(case.number)
    z, y, x = np.ogrid[tuple(slice(-1, 1, size * 1j) for size in SHAPE)]
    body = (y / 0.65) ** 2 + (x / 0.85) ** 2 + 0.2 * z**2 < 1
    hu = np.where(body, 40.0, -1000.0) + gaussian_filter(rng.normal(0, 900, SHAPE), 1.2)
    stored = np.rint((hu - case.intercept) / case.slope)
    array = (stored * case.slope + case.intercept).astype(np.float32).transpose(case.order)
    geometry = Geometry(array.shape, case.spacing, (-10.0, 20.0, 5.0), np.eye(3))
    return volume_of(np.ascontiguousarray(array)[None], geometry)


def model_of_case(case: Case, folder: Path) -> Path:
    """Write the results folder of its model, with random weights."""
    plan = TinyPlan(
        labels={"background": 0, **{f"organ {index}": index for index in range(1, CLASSES)}},
        spacing=case.target,
        patch_size=tuple(PATCH[case.order[axis]] for axis in case.transpose),
        transpose=case.transpose,
        mirror_axes=None,
        trainer="nnUNetTrainerNoMirroring",
    )
    return write_results_folder(folder / DATASET, plan, case.number, features=(6, 8), convolutions=1)


def compare(case: Case, folder: Path) -> dict[str, int]:
    """Count the labels and the network's input values that differ, and those that were compared."""
    source, volume = model_of_case(case, folder), volume_of_case(case)
    files = stock_nnunet.write_images(volume, folder / "images")
    theirs = stock_nnunet.predict(source, files, folder / "stock")
    package = load_package(add_package(source, "model", folder / "models").folder)
    ours = Engine(package, "cpu").segment(volume).label_map.array
    mine, stocks = _inputs(source, package, volume)
    return {
        "labels compared": theirs.size,
        "labels that differ": int((ours != theirs).sum()),
        "values compared": stocks.size,
        "values that differ": int((mine != stocks).sum()),
        "least classes in a case": len(np.unique(theirs)),
    }


def _inputs(source: Path, package: Package, volume: Volume) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Return what the network sees, here and in nnU-Net."""
    (configuration,) = package.manifest.configurations
    spacing = volume.geometry.spacing
    mine, _ = preprocess(volume.array, spacing, configuration, package.manifest.labels)
    stock = stock_nnunet.predictor(source)
    stocks, _, _ = stock.configuration_manager.preprocessor_class(verbose=False).run_case_npy(
        volume.array, None, {"spacing": list(spacing)}, stock.plans_manager, stock.configuration_manager,
        stock.dataset_json,
    )  # fmt: skip
    return mine.numpy(), np.asarray(stocks)


def main() -> None:
    """Compare some cases, and print the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--cases", type=int, default=10)
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    sums: dict[str, int] = {}
    for number in range(arguments.first, arguments.first + arguments.cases):
        case = case_of(number)
        with TemporaryDirectory() as folder:
            found = compare(case, Path(folder))
        logging.info("%s: %s", case, found)
        for name, count in found.items():
            least = name.startswith("least")
            sums[name] = min(sums.get(name, count), count) if least else sums.get(name, 0) + count
    logging.info("\n%s", "\n".join(f"{name:<40}{count}" for name, count in sums.items()))
    sys.exit(1 if sums["labels that differ"] or sums["values that differ"] else 0)


if __name__ == "__main__":
    main()
