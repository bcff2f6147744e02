"""``segnode models``: bring a trained nnU-Net in, look at what there is, check it, take it out."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from core.errors import ConfigInvalid, PackageInvalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from segmentation.commissioning import Outcome
    from segmentation.package import Package

app = typer.Typer(
    name="models",
    help="Model packages: add a trained nnU-Net v2, list, show, verify, remove.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a model package.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]


@app.command()
def add(
    path: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="A results folder (TRAINER__PLANS__CONFIGURATION), the zip of nnUNetv2_export_model_to_zip, a data "
            "set's folder with several results folders, or several results folders to average.",
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Name of the new package: a-z, 0-9, '.', '_', '-'.")],
    as_json: AsJson = False,
) -> None:
    """Make a package of what nnU-Net left. No code of the model's files runs.

    \b
    Examples:
      segnode models add nnUNetTrainer__nnUNetPlans__3d_fullres --name liver
      segnode models add liver-export.zip --name liver
      segnode models add Dataset003_Liver/*__2d Dataset003_Liver/*__3d_fullres \\
        --name both

    The package goes to the first folder of SEGNODE_MODELS, else to the user's
    data folder. Its model.yaml marks with DECIDE what a person must look at.

    Exit codes: 0 added, 2 the name is taken or not usable, 4 the model is
    damaged, unsafe or not supported.
    """
    from segmentation.package import add_package, folder_for_new_packages

    for source in path:
        if not source.exists():
            raise ConfigInvalid(f"{source}: no such file or folder")
    with _progress("converting weights", shown=not as_json) as on_progress:
        package = add_package(path[0] if len(path) == 1 else path, name, folder_for_new_packages(), on_progress)
    text = (package.folder / "model.yaml").read_text(encoding="utf-8")
    decisions = [number for number, line in enumerate(text.splitlines(), start=1) if "DECIDE" in line]
    if as_json:
        _print_json(_facts(package) | {"decide_lines": decisions[1:]})
        return
    console = Console()
    console.print(_table_of(package))
    console.print(
        f"Now look at {package.folder / 'model.yaml'}, at the lines with DECIDE: {decisions[1:]}", soft_wrap=True
    )


@app.command(name="list")
def list_models(as_json: AsJson = False) -> None:
    """List all packages and whether they can be used; every file is hashed.

    \b
    Examples:
      segnode models list
      SEGNODE_MODELS=/srv/models segnode models list --json
    """
    from segmentation.package import default_models_path, list_packages

    places = default_models_path()
    with _hashing(shown=not as_json):
        rows = [_state(folder) for folder in list_packages(places)]
    if as_json:
        _print_json(rows)
        return
    folding = [Column(title, overflow="fold") for title in ("Configurations", "Labels", "SHA-256", "Folder")]
    table = Table("Name", "State", *folding)
    for row in rows:
        labels = str(len(row["labels"])) if row["labels"] else ""
        table.add_row(
            row["name"], row["state"], "\n".join(row["configurations"]), labels, row["sha256"][:12], row["folder"]
        )
    console = Console()
    console.print(table if rows else f"No packages in {', '.join(map(str, places))}.")
    for row in rows:
        if row["reason"]:
            console.print(f"{row['name']}: {row['reason']}", soft_wrap=True, markup=False, highlight=False)


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show what a package holds: networks, labels, channels, orientation, golden cases.

    \b
    Examples:
      segnode models show demo
      segnode models show demo --json

    Exit codes: 0, 2 there is no such package, 4 it is damaged.
    """
    with _hashing(shown=not as_json):
        package = _open(name)
    if as_json:
        _print_json(_facts(package))
        return
    Console().print(_table_of(package))


@app.command()
def verify(
    name: Name,
    case: Annotated[
        list[Path] | None,
        typer.Option("--case", help="Image of a golden case (NIfTI, NRRD, MHA); once per channel, in order."),
    ] = None,
    expect: Annotated[
        Path | None,
        typer.Option("--expect", help="The mask that nnU-Net itself predicted for it, before post-processing."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Check every hash and model.yaml; with a golden case, also that the package infers what nnU-Net inferred.

    \b
    Examples:
      segnode models verify liver
      segnode models verify liver --case ct.nii.gz --expect predicted.nii.gz

    A golden case passes where every label's Dice with the expected mask is at
    least 0.99. Its outcome is kept with the package (hashes of the files, not
    the files). Packages of trainers that may change the network need one.

    Exit codes: 0 sound, 2 usage, 4 damaged, not commissioned, or the golden
    case failed.
    """
    from segmentation.commissioning import require_commissioning

    if bool(case) != bool(expect):
        raise ConfigInvalid("--case and --expect go together")
    with _hashing(shown=not as_json):
        package = _open(name)
    if not case or not expect:
        require_commissioning(package.folder, package.network.trainers, package.seal, package.manifest)
        if as_json:
            _print_json(_row(package.folder) | _facts(package) | {"state": "ready"})
        else:
            typer.echo(f"{package.name}: {len(package.sums)} files hold their SHA-256; sha256 {package.sha256}")
        return
    from segmentation.golden import run_golden_case

    with _progress("golden case", shown=not as_json) as on_progress:
        outcome = run_golden_case(package, case, expect, device, on_progress)
    if as_json:
        _print_json(outcome.model_dump())
    else:
        Console().print(_table_of_outcome(outcome))
    if not outcome.passed:
        raise PackageInvalid(f"{package.name}: the golden case failed; see {package.folder / 'commissioning.json'}")


@app.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; --json does not ask either.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove a package and its files.

    \b
    Examples:
      segnode models remove liver
      segnode models remove liver --yes
    """
    from segmentation.package import default_models_path, find_package, remove_package

    folder = find_package(name, default_models_path())
    if not yes and not as_json:
        typer.confirm(f"Remove {folder} with all of its files?", abort=True)
    remove_package(folder)
    if as_json:
        _print_json({"removed": str(folder)})
    else:
        typer.echo(f"Removed {folder}.")


def _open(name: str) -> "Package":
    from segmentation.package import default_models_path, find_package, open_package

    return open_package(find_package(name, default_models_path()))


def _row(folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"name": folder.name, "folder": str(folder), "state": "invalid", "reason": None}
    return row | {"sha256": "", "configurations": [], "labels": {}}


def _state(folder: Path) -> dict[str, Any]:
    """One row of the list; a package that cannot be used is a row with a reason."""
    from segmentation.commissioning import require_commissioning
    from segmentation.package import open_package

    row = _row(folder)
    try:
        package = open_package(folder)
        row |= _facts(package) | {"name": folder.name, "state": "not commissioned"}
        require_commissioning(folder, package.network.trainers, package.seal, package.manifest)
    except PackageInvalid as error:
        return row | {"reason": str(error)}
    return row | {"state": "ready"}


def _facts(package: "Package") -> dict[str, Any]:
    from segmentation.commissioning import read_outcomes

    size = sum((package.folder / name).stat().st_size for name in package.sums)
    return {
        "name": package.name,
        "version": package.manifest.version,
        "folder": str(package.folder),
        "sha256": package.sha256,
        "bytes": size,
        "orientation": package.manifest.orientation,
        "channels": [channel.name for channel in package.manifest.channels],
        "labels": {label.name: label.value for label in package.manifest.labels},
        "configurations": [c.id for c in package.network.configurations],
        "folds": {c.id: [fold.fold for fold in c.folds] for c in package.network.configurations},
        "ensemble": list(package.network.members) if len(package.network.members) > 1 else [],
        "trainers": list(package.network.trainers),
        "postprocessing": [step.step for step in package.manifest.postprocessing],
        "golden_cases": [outcome.model_dump() for outcome in read_outcomes(package.folder).cases],
    }


def _table_of(package: "Package") -> Table:
    facts = _facts(package)
    table = Table(Column(), Column(overflow="fold"), show_header=False)  # a hash that is cut is no hash
    table.add_row("name", f"{facts['name']} (version {facts['version']})")
    table.add_row("folder", facts["folder"])
    table.add_row("sha256", facts["sha256"])
    table.add_row("size", f"{facts['bytes'] / 1e6:.1f} MB")
    for identifier, folds in facts["folds"].items():
        configuration = package.network.configuration(identifier)
        patch, spacing = (
            "x".join(f"{v:g}" for v in values) for values in (configuration.patch_size, configuration.spacing)
        )
        table.add_row("network", f"{identifier}, folds {folds}, patch {patch}, spacing {spacing} mm")
    table.add_row("ensemble", ", ".join(facts["ensemble"]) or "no")
    table.add_row("orientation", facts["orientation"])
    table.add_row("channels", ", ".join(facts["channels"]))
    table.add_row("labels", ", ".join(f"{value} {label}" for label, value in facts["labels"].items()))
    table.add_row("post-processing", ", ".join(facts["postprocessing"]) or "none")
    golden = facts["golden_cases"]
    table.add_row(
        "golden cases", f"{sum(case['passed'] for case in golden)} of {len(golden)} passed" if golden else "none"
    )
    return table


def _table_of_outcome(outcome: "Outcome") -> Table:
    table = Table("Label", "Dice", title=f"golden case {'passed' if outcome.passed else 'FAILED'}")
    for label, dice in outcome.dice.items():
        table.add_row(label, "not in this case" if dice is None else f"{dice:.4f}")
    table.add_row("voxels that agree", f"{outcome.agreement:.4%}")
    return table


def _hashing(*, shown: bool) -> AbstractContextManager[object]:
    """Say why nothing happens yet: gigabytes of weights take seconds to hash."""
    return Console(stderr=True).status("checking every file's SHA-256") if shown else nullcontext()


@contextmanager
def _progress(title: str, *, shown: bool) -> "Iterator[Callable[[float], None]]":
    with Progress(console=Console(stderr=True), transient=True, disable=not shown) as progress:
        task = progress.add_task(title, total=1.0)
        yield lambda fraction: progress.update(task, completed=fraction)


def _print_json(content: Any) -> None:
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
