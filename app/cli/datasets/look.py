"""``segnode datasets list | show | diff``: what there is, what is in it, and how two of them differ."""

from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Column, Table

from app.cli.datasets.place import Place, Reference, facts_of, open_dataset, where
from app.cli.model_tables import print_json
from app.cli.options import AsJson
from core.errors import PackageInvalid


def list_datasets(place: Place = None, as_json: AsJson = False) -> None:
    """List the data sets and their versions.

    \b
    Examples:
      segnode datasets list
      segnode datasets list --datasets /srv/datasets --json
    """
    from training.datasets.lock import read_lock
    from training.datasets.store import list_folders

    folder_of_all = where(place)
    rows: list[dict[str, Any]] = []
    for folder in list_folders(folder_of_all):
        try:
            rows.append(facts_of(folder, read_lock(folder)))
        except PackageInvalid as error:
            rows.append({"folder": str(folder), "problem": str(error)})
    if as_json:
        print_json(rows)
        return
    if not rows:
        typer.echo(f"No data sets in {folder_of_all}.")
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


def show(reference: Reference, place: Place = None, as_json: AsJson = False) -> None:
    """Show what a data set holds: channels, labels, cases, folds, what was refused.

    \b
    Examples:
      segnode datasets show LIVER
      segnode datasets show LIVER@3f2a --json

    Exit codes: 0, 2 there is no such data set, 4 its lock is damaged.
    """
    folder, lock = open_dataset(reference, place)
    if as_json:
        print_json(lock.model_dump(mode="json", by_alias=True) | {"folder": str(folder)})
        return
    facts = facts_of(folder, lock)
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


def diff(first: Reference, second: Reference, place: Place = None, as_json: AsJson = False) -> None:
    """Compare two data sets, or two versions of one: settings, cases, masks, folds.

    \b
    Examples:
      segnode datasets diff LIVER@3f2a LIVER
      segnode datasets diff 101 102 --json

    Exit codes: 0, 2 there is no such data set, 4 a lock is damaged.
    """
    from training.datasets.compare import compare

    _, old = open_dataset(first, place)
    _, new = open_dataset(second, place)
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
