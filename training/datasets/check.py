"""The check that a registered data set is still what its lock states."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import UnreadableImage
from core.image_files.reader import read_array
from core.volume import Geometry
from training.datasets.description import dataset_json
from training.datasets.lock import DATASET_JSON, SPLITS, DatasetLock, LockedCase, LockedFile, read_lock
from training.datasets.splits import check_splits
from training.datasets.steady import steadily
from training.datasets.writing import content_of, sha256_of

GRID_TOLERANCE_MM = 1e-2


@dataclass(frozen=True)
class Fault:
    """One file that is not as the lock states: its path within the folder, and what was found."""

    file: str
    finding: str


def check_dataset(
    folder: Path, on_progress: Callable[[float], None] = lambda _: None
) -> tuple[DatasetLock, list[Fault]]:
    """Hold every file against the lock: bytes, voxels, grid, values, splits.

    Raises
    ------
    PackageInvalid
        If the lock itself is missing or damaged.
    CaseRefused
        ``patient_on_both_sides``.
    """
    lock = read_lock(folder)
    check_splits(lock.splits, {name: case.patient for name, case in lock.cases.items()})
    faults = list(_beside(folder, lock))
    for number, (name, case) in enumerate(lock.cases.items(), 1):
        faults += _of_case(folder, lock, name, case)
        on_progress(number / len(lock.cases))
    return lock, faults


def _beside(folder: Path, lock: DatasetLock) -> Iterator[Fault]:
    stated = {DATASET_JSON: dataset_json(lock), SPLITS: [split.model_dump(mode="json") for split in lock.splits]}
    for name, wanted in stated.items():
        try:
            found = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            yield Fault(name, "cannot be read as JSON")
            continue
        if found != wanted:
            yield Fault(name, "differs from what the lock states")
    wanted_files = {
        *(lock.image_file(name, n) for name in lock.cases for n in range(len(lock.channels))),
        *(lock.label_file(name) for name in lock.cases),
    }
    for part in ("imagesTr", "labelsTr"):
        for path in sorted((folder / part).glob("*")):
            if f"{part}/{path.name}" not in wanted_files:
                yield Fault(part, "holds a file that the lock does not name")


def _of_case(folder: Path, lock: DatasetLock, name: str, case: LockedCase) -> Iterator[Fault]:
    grid = Geometry(case.shape, case.spacing, case.origin, np.array(case.direction).reshape(3, 3))
    for number, image in enumerate(case.images):
        yield from _of_file(folder, lock.image_file(name, number), image, grid, np.dtype(np.float32))
    yield from _of_file(folder, lock.label_file(name), case.label, grid, np.dtype(np.uint16))


def _of_file(
    folder: Path, name: str, locked: LockedFile, grid: Geometry, dtype: "np.dtype[np.generic]"
) -> Iterator[Fault]:
    path = folder / name
    if not path.is_file():
        yield Fault(name, "is missing")
        return
    if sha256_of(path) != locked.sha256:
        yield Fault(name, "was changed since it was registered")
    try:
        array, geometry = steadily(lambda: read_array(path))
    except UnreadableImage as error:
        yield Fault(name, error.detail)
        return
    if not geometry.same_grid(grid, GRID_TOLERANCE_MM):
        yield Fault(name, "lies on another grid than the lock states")
    elif content_of(array.astype(dtype)) != locked.content:
        yield Fault(name, "holds other voxels than the lock states")
