"""The folder of data sets that a command works in, and the data set that it is given."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from training.datasets.lock import DatasetLock

Place = Annotated[
    Path | None,
    typer.Option(
        "--datasets",
        "-d",
        help="Folder of data sets; else SEGNODE_DATASETS, folders.raw of the site's training.yaml (here or in "
        "/etc/segnode), nnUNet_raw, the user's data folder.",
    ),
]
Reference = Annotated[
    str, typer.Argument(metavar="NAME", help="NAME, NAME@VERSION (its beginning), a number, or a folder.")
]


def where(place: Path | None) -> Path:
    """Return the folder of data sets that is named, or that of the site, so that training finds them too."""
    from training.datasets.store import datasets_folder
    from training.settings import PLACES, load_training_settings

    if place is None and not os.environ.get("SEGNODE_DATASETS") and any(file.exists() for file in PLACES):
        return load_training_settings(None).folders.raw
    return datasets_folder(place)


def open_dataset(reference: str, place: Path | None) -> "tuple[Path, DatasetLock]":
    """Find a data set and read its lock."""
    from training.datasets.lock import read_lock
    from training.datasets.store import find_dataset

    folder = find_dataset(reference, where(place))
    return folder, read_lock(folder)


def facts_of(folder: Path, lock: "DatasetLock") -> dict[str, Any]:
    """Return what programs are told of a data set."""
    return {
        "folder": str(folder),
        "name": lock.name,
        "version": lock.version,
        "cases": len(lock.cases),
        "patients": len({case.patient for case in lock.cases.values()}),
        "labels": {label.name: label.value for label in lock.labels},
        "ignore": lock.ignore,
        "folds": len(lock.splits),
        "refused": [one.model_dump() for one in lock.refused],
    }
