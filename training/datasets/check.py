"""The check that a registered data set is still what its lock states, and that its cases fit each other."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import UnreadableImage
from core.image_files.reader import read_array
from core.volume import Geometry
from training.datasets.case import Note
from training.datasets.description import dataset_json
from training.datasets.lock import DATASET_JSON, SPLITS, DatasetLock, LockedCase, LockedFile, read_lock
from training.datasets.splits import check_splits
from training.datasets.statistics import CaseStatistics, measure, outliers, shared_slices
from training.datasets.steady import steadily
from training.datasets.writing import content_of, sha256_of

GRID_TOLERANCE_MM = 1e-2


@dataclass(frozen=True)
class Fault:
    """One file that is not as the lock states: its path within the folder, and what was found."""

    file: str
    finding: str


@dataclass(frozen=True)
class Checked:
    """A data set held against its lock, and its cases against each other.

    Attributes
    ----------
    lock
        What it is to be.
    faults
        Files that are not as the lock states.
    notes
        Cases that are far from the others, or hold the same slices as another; codes and details, by case.
    """

    lock: DatasetLock
    faults: Sequence[Fault]
    notes: Mapping[str, Sequence[Note]]


def check_dataset(folder: Path, on_progress: Callable[[float], None] = lambda _: None) -> Checked:
    """Hold every file against the lock: bytes, voxels, grid, values, splits; and compare the cases with each other.

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
    statistics: dict[str, CaseStatistics] = {}
    for number, (name, case) in enumerate(lock.cases.items(), 1):
        channels = _of_case(folder, lock, name, case, faults)
        if channels is not None:
            statistics[name] = measure(channels, case.spacing)
        on_progress(number / len(lock.cases))
    notes = outliers(statistics)
    for case_name, others in shared_slices(statistics, lock.cases).items():
        notes[case_name] += others
    return Checked(lock, faults, {name: found for name, found in notes.items() if found})


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


def _of_case(
    folder: Path, lock: DatasetLock, name: str, case: LockedCase, faults: list[Fault]
) -> NDArray[np.float32] | None:
    """Note what is wrong with the files of a case, and return its channels if they can be read."""
    grid = Geometry(case.shape, case.spacing, case.origin, np.array(case.direction).reshape(3, 3))
    files = [(lock.image_file(name, number), image, np.float32) for number, image in enumerate(case.images)]
    arrays = []
    for path, locked, dtype in (*files, (lock.label_file(name), case.label, np.uint16)):
        array, found = _of_file(folder, path, locked, grid, np.dtype(dtype))
        faults += found
        arrays.append(array)
    channels = [array for array in arrays[:-1] if array is not None and array.shape == case.shape]
    return np.stack(channels) if len(channels) == len(files) else None


def _of_file(
    folder: Path, name: str, locked: LockedFile, grid: Geometry, dtype: "np.dtype[Any]"
) -> tuple[NDArray[Any] | None, list[Fault]]:
    path = folder / name
    if not path.is_file():
        return None, [Fault(name, "is missing")]
    faults = [] if sha256_of(path) == locked.sha256 else [Fault(name, "was changed since it was registered")]
    try:
        array, geometry = steadily(lambda: read_array(path))
    except UnreadableImage as error:
        return None, [*faults, Fault(name, error.detail)]
    array = array.astype(dtype)
    if not geometry.same_grid(grid, GRID_TOLERANCE_MM):
        faults.append(Fault(name, "lies on another grid than the lock states"))
    elif content_of(array) != locked.content:
        faults.append(Fault(name, "holds other voxels than the lock states"))
    return array, faults
