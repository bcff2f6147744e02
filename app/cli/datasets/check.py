"""``segnode datasets check``: hold a data set against its lock, and its cases against each other."""

import typer

from app.cli.datasets.place import Place, Reference, facts_of, where
from app.cli.model_tables import print_json
from app.cli.options import AsJson
from app.progress import progress_of
from core.errors import PackageInvalid


def check(reference: Reference, place: Place = None, as_json: AsJson = False) -> None:
    """Hold every file against the lock: bytes, voxels, grid, splits; and compare the cases with each other.

    \b
    Examples:
      segnode datasets check LIVER
      segnode datasets check LIVER@3f2a --json

    Cases whose spacing or values are far from the others', or that hold the same
    slices, are listed; they are no fault of the files.
    Exit codes: 0 sound, 2 there is no such data set, 3 a patient is on both
    sides of a split, 4 a file is missing or was changed.
    """
    from training.datasets.check import check_dataset
    from training.datasets.store import find_dataset

    folder = find_dataset(reference, where(place))
    with progress_of(f"checking {folder.name}", shown=not as_json) as on_progress:
        done = check_dataset(folder, on_progress)
    notes = [(case, note) for case, found in done.notes.items() for note in found]
    if as_json:
        faults = [{"file": fault.file, "finding": fault.finding} for fault in done.faults]
        found = [{"case": case, "code": str(note.code), "detail": note.detail} for case, note in notes]
        print_json(facts_of(folder, done.lock) | {"faults": faults, "notes": found})
    else:
        for case, note in notes:
            typer.echo(f"{case}: {note.code}: {note.detail}")
    if done.faults:
        listed = "\n".join(f"  {fault.file}: {fault.finding}" for fault in done.faults)
        raise PackageInvalid(f"{folder}: not as registered; restore it, or register it again:\n{listed}")
    if not as_json:
        typer.echo(f"{folder}: {len(done.lock.cases)} cases are as registered; version {done.lock.version}")
