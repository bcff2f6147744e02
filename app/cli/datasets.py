"""``segnode datasets``: register images with masks as an nnU-Net data set, look at it, compare it, check it."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from app.cli.model_tables import print_json
from app.cli.options import AsJson
from app.progress import progress_of
from core.errors import ConfigInvalid, PackageInvalid

if TYPE_CHECKING:
    from training.datasets.lock import DatasetLock
    from training.datasets.register import Registration

app = typer.Typer(
    name="datasets",
    help="Data sets for training: register images with masks, list, show, compare, check.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


class PairBy(StrEnum):
    """The way in which a DICOM mask finds its images."""

    REFERENCES = "references"
    FRAME_OF_REFERENCE = "frame-of-reference"


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


@app.command()
def register(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the data set: letters, digits, '_' and '-'.")],
    source: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="Folders: DICOM with SEG or RTSTRUCT, files that --image and --mask fit, an nnU-Net raw data set, or "
            "a task of the medical decathlon.",
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="The labels table: channels, labels, and the names that stand for them."),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option("--image", help="Pattern of the images' paths, e.g. '{case}/ct.nii.gz'; once per channel."),
    ] = None,
    mask: Annotated[
        str, typer.Option("--mask", help="Pattern of the masks' paths; {structure} where each has its own file.")
    ] = "",
    cases: Annotated[
        Path | None, typer.Option("--cases", help="CSV with the columns case, patient, labelled_by; for files.")
    ] = None,
    labelled_by: Annotated[
        str, typer.Option("--labelled-by", help="Maker of the masks, as the data set is to say it.")
    ] = "",
    pair_by: Annotated[
        PairBy, typer.Option("--pair-by", help="How a DICOM mask finds its images where its references lead nowhere.")
    ] = PairBy.REFERENCES,
    folds: Annotated[int | None, typer.Option("--folds", min=2, max=50, help="Folds, dealt by patient [5].")] = None,
    number: Annotated[
        int | None, typer.Option("--number", min=1, max=999, help="nnU-Net's number; else the next free one from 101.")
    ] = None,
    place: Place = None,
    as_json: AsJson = False,
) -> None:
    """Make an nnU-Net raw data set of images with masks, with a lock that says what it holds.

    \b
    Examples:
      segnode datasets register LIVER /data/liver-dicom --labels labels.yaml
      segnode datasets register LIVER /data/nifti --labels labels.yaml \\
        --image '{case}/ct.nii.gz' --mask '{case}/liver.nii.gz'
      segnode datasets register SPLEEN Task09_Spleen
      segnode datasets register LIVER Dataset003_Liver --cases patients.csv

    Each case is checked; those that cannot be right are left out, with a code
    (docs/refusals.md). A report with pictures lies in the data set's folder.
    The same content again is the version that is there; other content is
    another version, with a number of its own.

    Exit codes: 0 registered, also with cases left out; 2 usage or labels table;
    3 no case is left, or a patient is on both sides of a split; 5 a disk failed.
    """
    from training.datasets.case import Request
    from training.datasets.people import read_people
    from training.datasets.register import register as register_dataset
    from training.datasets.table import read_table

    if bool(image) != bool(mask):
        raise ConfigInvalid("--image and --mask go together")
    request = Request(
        read_table(labels) if labels is not None else None,
        tuple(image or ()),
        mask,
        labelled_by,
        pair_by is PairBy.FRAME_OF_REFERENCE,
        read_people(cases) if cases is not None else {},
    )
    with progress_of(f"registering {name}", shown=not as_json) as on_progress:
        done = register_dataset(name, source, _where(place), request, on_progress, folds=folds, number=number)
    if as_json:
        print_json(_facts(done.folder, done.lock) | {"is_new": done.is_new, "unmapped_names": dict(done.unmapped)})
        return
    _tell(done)


def _tell(done: "Registration") -> None:
    lock = done.lock
    state = "registered as" if done.is_new else "is already there as"
    typer.echo(f"{lock.name} {state} {done.folder}, version {lock.short_version}")
    patients = len({case.patient for case in lock.cases.values()})
    typer.echo(f"{len(lock.cases)} cases of {patients} patients, {len(lock.splits)} folds, {len(lock.refused)} refused")
    for refused in lock.refused:
        typer.echo(f"  refused {refused.source}: {refused.code}: {refused.detail}")
    codes = [str(note.code) for notes in done.notes.values() for note in {n.code: n for n in notes}.values()]
    for code in dict.fromkeys(codes):
        typer.echo(f"  {code}: {codes.count(code)} cases")
    for name, count in done.unmapped.items():
        typer.echo(f"  no label takes the name {name!r} ({count} cases); what it names is background")
    if done.withheld:
        typer.echo(f"  {done.withheld} more names that no label takes hold an attribute of a patient")
    if done.without_mask:
        typer.echo(f"  {done.without_mask} images have no mask")
    typer.echo(f"look at {done.folder / 'report.html'}")


@app.command(name="list")
def list_datasets(place: Place = None, as_json: AsJson = False) -> None:
    """List the data sets and their versions.

    \b
    Examples:
      segnode datasets list
      segnode datasets list --datasets /srv/datasets --json
    """
    from training.datasets.lock import read_lock
    from training.datasets.store import list_folders

    where = _where(place)
    rows: list[dict[str, Any]] = []
    for folder in list_folders(where):
        try:
            rows.append(_facts(folder, read_lock(folder)))
        except PackageInvalid as error:
            rows.append({"folder": str(folder), "problem": str(error)})
    if as_json:
        print_json(rows)
        return
    if not rows:
        typer.echo(f"No data sets in {where}.")
        return
    table = Table(
        Column("Data set", overflow="fold"), "Version", "Cases", "Patients", Column("Labels", overflow="fold")
    )
    for row in rows:
        if "problem" in row:
            table.add_row(Path(row["folder"]).name, "damaged", "", "", row["problem"])
            continue
        numbers = str(row["cases"]), str(row["patients"])
        table.add_row(Path(row["folder"]).name, row["version"][:12], *numbers, ", ".join(row["labels"]))
    Console().print(table)


@app.command()
def show(reference: Reference, place: Place = None, as_json: AsJson = False) -> None:
    """Show what a data set holds: channels, labels, cases, folds, what was refused.

    \b
    Examples:
      segnode datasets show LIVER
      segnode datasets show LIVER@3f2a --json

    Exit codes: 0, 2 there is no such data set, 4 its lock is damaged.
    """
    folder, lock = _open(reference, place)
    if as_json:
        print_json(lock.model_dump(mode="json", by_alias=True) | {"folder": str(folder)})
        return
    facts = _facts(folder, lock)
    typer.echo(f"{folder}, version {lock.version}")
    typer.echo(f"{facts['cases']} cases of {facts['patients']} patients, {len(lock.splits)} folds")
    typer.echo("channels: " + ", ".join(f"{c.name} ({c.unit or 'no unit'})" for c in lock.channels))
    table = Table("Label", "Value", "Looked for in", "Present in")
    for label in lock.labels:
        looked = sum(label.name in case.looked_for for case in lock.cases.values())
        present = sum(case.voxels.get(label.name, 0) > 0 for case in lock.cases.values())
        table.add_row(label.name, str(label.value), str(looked), str(present))
    Console().print(table)
    for refused in lock.refused:
        typer.echo(f"refused {refused.source}: {refused.code}: {refused.detail}")
    typer.echo(f"look at {folder / 'report.html'}")


@app.command()
def diff(first: Reference, second: Reference, place: Place = None, as_json: AsJson = False) -> None:
    """Compare two data sets, or two versions of one: settings, cases, masks, folds.

    \b
    Examples:
      segnode datasets diff LIVER@3f2a LIVER
      segnode datasets diff 101 102 --json

    Exit codes: 0, 2 there is no such data set, 4 a lock is damaged.
    """
    from training.datasets.compare import compare

    _, old = _open(first, place)
    _, new = _open(second, place)
    found = compare(old, new)
    if as_json:
        changed = {case: list(facets) for case, facets in found.changed.items()}
        lists = {"settings": found.settings, "added": found.added, "removed": found.removed}
        print_json({key: list(value) for key, value in lists.items()} | {"changed": changed})
        return
    typer.echo(f"{old.folder_name} {old.short_version} -> {new.folder_name} {new.short_version}")
    lines = [f"differs: {key}" for key in found.settings]
    lines += [f"added: {case}" for case in found.added] + [f"removed: {case}" for case in found.removed]
    lines += [f"changed: {case}: {', '.join(facets)}" for case, facets in found.changed.items()]
    typer.echo("\n".join(lines or ["no difference in content"]))


@app.command()
def check(reference: Reference, place: Place = None, as_json: AsJson = False) -> None:
    """Hold every file of a data set against its lock: bytes, voxels, grid, splits.

    \b
    Examples:
      segnode datasets check LIVER
      segnode datasets check LIVER@3f2a --json

    Exit codes: 0 sound, 2 there is no such data set, 3 a patient is on both
    sides of a split, 4 a file is missing or was changed.
    """
    from training.datasets.check import check_dataset
    from training.datasets.store import find_dataset

    folder = find_dataset(reference, _where(place))
    with progress_of(f"checking {folder.name}", shown=not as_json) as on_progress:
        lock, faults = check_dataset(folder, on_progress)
    if as_json:
        print_json(_facts(folder, lock) | {"faults": [{"file": f.file, "finding": f.finding} for f in faults]})
    if faults:
        listed = "\n".join(f"  {fault.file}: {fault.finding}" for fault in faults)
        raise PackageInvalid(f"{folder}: not as registered; restore it, or register it again:\n{listed}")
    if not as_json:
        typer.echo(f"{folder}: {len(lock.cases)} cases are as registered; version {lock.version}")


def _where(place: Path | None) -> Path:
    """Return the folder of data sets that is named, or that of the site, so that training finds them too."""
    from training.datasets.store import datasets_folder
    from training.settings import PLACES, load_training_settings

    if place is None and not os.environ.get("SEGNODE_DATASETS") and any(file.exists() for file in PLACES):
        return load_training_settings(None).folders.raw
    return datasets_folder(place)


def _open(reference: str, place: Path | None) -> "tuple[Path, DatasetLock]":
    from training.datasets.lock import read_lock
    from training.datasets.store import find_dataset

    folder = find_dataset(reference, _where(place))
    return folder, read_lock(folder)


def _facts(folder: Path, lock: "DatasetLock") -> dict[str, Any]:
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
