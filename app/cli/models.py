"""``segnode models``: bring a trained nnU-Net in, look at what there is, check it, take it out."""

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from app.cli.model_tables import (
    after_adding,
    facts_of,
    facts_of_measurement,
    hashing,
    print_json,
    said_of_use,
    state_of,
    table_of,
    table_of_outcome,
    tables_of_measurement,
)
from app.cli.options import AsJson, Device, group_of
from app.progress import phase, progress_of
from core.errors import ConfigInvalid, PackageInvalid
from runtime.processor import settle_threads

if TYPE_CHECKING:
    from segmentation.package.package import Package

app = group_of("models", "Model packages: add a trained nnU-Net v2, list, show, verify, measure, remove.")


class Checkpoint(StrEnum):
    """The checkpoint that is taken of each fold."""

    FINAL = "final"
    BEST = "best"


Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a model package.")]


@app.command()
def add(
    path: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="A results folder (plans.json, dataset.json, fold_*; any name), the zip of "
            "nnUNetv2_export_model_to_zip, a data set's folder with several results folders, or several results "
            "folders to average.",
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Name of the new package: a-z, 0-9, '.', '_', '-'.")],
    checkpoint: Annotated[
        Checkpoint, typer.Option(help="Which of each fold: after the last epoch, or of the best one.")
    ] = Checkpoint.FINAL,
    configuration: Annotated[
        list[str] | None,
        typer.Option("--configuration", "-c", help="Of a zip or folder with several; may be repeated to average."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a package of what nnU-Net left. No code of the model's files runs.

    \b
    Examples:
      segnode models add nnUNetTrainer__nnUNetPlans__3d_fullres --name liver
      segnode models add liver-export.zip --name liver
      segnode models add liver-export.zip --name liver --configuration 2d
      segnode models add my-liver-run --name liver --checkpoint best
      segnode models add Dataset003_Liver/*__2d Dataset003_Liver/*__3d_fullres \\
        --name both

    The package goes to the first folder of SEGNODE_MODELS, else to the user's
    data folder. In its model.yaml a comment with DECIDE is a question to a
    person; no route loads the model until each is answered and deleted.

    Exit codes: 0 added, 2 the name is taken or not usable, 4 the model is
    damaged, unsafe or not supported.
    """
    from segmentation.importing.add import add_package
    from segmentation.package.store import folder_for_new_packages

    for source in path:
        if not source.exists():
            raise ConfigInvalid(f"{source}: no such file or folder")
    with progress_of("converting weights", shown=not as_json) as on_progress:
        package = add_package(
            path[0] if len(path) == 1 else path,
            name,
            folder_for_new_packages(),
            on_progress,
            checkpoint=checkpoint.value,
            configurations=configuration or (),
        )
    _convert(package, shown=not as_json)
    if as_json:
        print_json(facts_of(package) | {"decide_lines": [question.line for question in package.questions]})
        return
    Console().print(table_of(package))
    typer.echo("\n".join(after_adding(package)))


@app.command(name="add-totalsegmentator")
def add_totalsegmentator(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Your TotalSegmentator weights: holds Dataset291_… to Dataset295_…"),
    ],
    name: Annotated[str, typer.Option("--name", help="Name of the new package: a-z, 0-9, '.', '_', '-'.")],
    as_json: AsJson = False,
) -> None:
    """Make one package of the five parts of TotalSegmentator's task total: 117 structures with their codes.

    \b
    Examples:
      segnode models add-totalsegmentator ~/.totalsegmentator/nnunet/results \\
        --name total

    Nothing is downloaded, and TotalSegmentator need not be installed. The
    weights of this task are under the Apache licence 2.0; some other tasks of
    TotalSegmentator need a licence, and are not added by this command.

    Exit codes: 0 added, 2 the name is taken or not usable, 4 a part is
    missing, damaged, or finds other structures.
    """
    from segmentation.importing.totalsegmentator import add_totalsegmentator as add_parts
    from segmentation.package.store import folder_for_new_packages

    if not folder.is_dir():
        raise ConfigInvalid(f"{folder}: no such folder")
    with progress_of("converting weights", shown=not as_json) as on_progress:
        package = add_parts(folder, name, folder_for_new_packages(), on_progress)
    _convert(package, shown=not as_json)
    if as_json:
        print_json(facts_of(package))
        return
    Console().print(table_of(package))


@app.command(name="list")
def list_models(as_json: AsJson = False) -> None:
    """List all packages and whether they can be used; every file is hashed.

    \b
    Examples:
      segnode models list
      SEGNODE_MODELS=/srv/models segnode models list --json
    """
    from segmentation.package.store import default_models_path, list_packages

    places = default_models_path()
    with hashing(shown=not as_json):
        rows = [state_of(folder) for folder in list_packages(places)]
    if as_json:
        print_json(rows)
        return
    table = Table(Column("Name", overflow="fold"), "State", Column("Networks", overflow="fold"), "Labels", "SHA-256")
    for row in rows:
        labels = str(len(row["labels"])) if row["labels"] else ""
        networks = "\n".join(identifier.rpartition("__")[2] for identifier in row["configurations"])
        table.add_row(row["name"], row["state"], networks, labels, row["sha256"][:12])
    console = Console()
    console.print(table if rows else f"No packages in {', '.join(map(str, places))}.")
    for row in rows:
        if row["reason"]:
            console.print(f"{row['folder']}: {row['reason']}", soft_wrap=True, markup=False, highlight=False)


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show what a package holds: networks, labels, channels, orientation, golden cases, what each profile loses.

    \b
    Examples:
      segnode models show demo
      segnode models show demo --json

    Exit codes: 0, 2 there is no such package, 4 it is damaged.
    """
    with hashing(shown=not as_json):
        package = _open(name)
    if as_json:
        print_json(facts_of(package))
        return
    Console().print(table_of(package))


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
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.AUTO,
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
    settle_threads()
    from segmentation.package.golden_results import require_commissioning
    from segmentation.package.open_decisions import standing_questions

    if bool(case) != bool(expect):
        raise ConfigInvalid("--case and --expect go together")
    with hashing(shown=not as_json):
        package = _open(name)
    if not case or not expect:
        require_commissioning(package.folder, package.manifest.trainers, package.seal, package.config)
        questions = standing_questions(package)
        if as_json:
            state = "undecided" if questions and package.record is not None else "ready"
            print_json(facts_of(package) | {"state": state, "reason": None})
        else:
            typer.echo(f"{package.folder}: {len(package.sums)} files hold their SHA-256; sha256 {package.sha256}")
            for question in questions:
                typer.echo(f"{package.folder / 'model.yaml'}: {question}")
        return
    from segmentation.verification.golden_case import explain_failure, run_golden_case

    with progress_of("golden case", shown=not as_json) as on_progress:
        outcome = run_golden_case(package, case, expect, device, on_progress)
    if as_json:
        print_json(outcome.model_dump())
    else:
        Console().print(table_of_outcome(outcome))
    if not outcome.passed:
        raise PackageInvalid(explain_failure(package, outcome))


@app.command()
def measure(
    name: Name,
    cases: Annotated[
        list[Path],
        typer.Argument(
            metavar="CASES...",
            help="Images (NIfTI, NRRD, MHA), or folders of them named as nnU-Net does: CASE_0000.nii.gz, a number a "
            "channel.",
        ),
    ],
    truth: Annotated[
        Path | None, typer.Option("--truth", help="Folder of true masks CASE.nii.gz, as nnU-Net's labelsTr.")
    ] = None,
    use: Annotated[
        bool, typer.Option("--use", help="Write the fastest profile that lost no label into model.yaml.")
    ] = False,
    dice: Annotated[
        float | None,
        typer.Option("--dice", min=0, max=1, help="With --use: the lowest Dice that a label may have, say 0.998."),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.AUTO,
    as_json: AsJson = False,
) -> None:
    """Measure what profiles equal and fast lose against exact, and what they save.

    \b
    Examples:
      segnode models measure liver imagesTs
      segnode models measure liver imagesTs --truth labelsTs --device cuda
      segnode models measure liver imagesTs --use --dice 0.998

    Every profile segments every case, in each backend that can run it and in
    bfloat16 and single precision where it may; the quickest way runs it from
    then on. Seconds, peak memory, voxels that differ,
    Dice, components and volumes are kept with the package for its present
    weights and settings and this kind of processor (hashes of the files, not
    the files); show prints them. Until then equal and fast run with a warning.

    --use marks its line in model.yaml. On a kind of processor that was not
    measured such a profile is not used, and exact runs.

    Exit codes: 0 measured, 2 usage, 3 a case cannot be segmented, 4 the
    package is damaged.
    """
    if dice is not None and not use:
        raise ConfigInvalid("--dice says what --use may choose; give both")
    settle_threads()
    with hashing(shown=not as_json):
        package = _open(name)
    from segmentation.verification.profile_benchmark import find_cases, measure, quickest_profile, use_profile

    found = find_cases(cases, len(package.manifest.channels), truth)
    with progress_of(f"{len(found)} cases, every profile", shown=not as_json) as on_progress:
        measurement = measure(package, found, device, on_progress)
    profile = quickest_profile(measurement, dice) if use else None
    if profile is not None:
        use_profile(package, profile, dice)
    if as_json:
        print_json(facts_of_measurement(measurement) | {"used": profile})
        return
    for table in tables_of_measurement(measurement):
        Console().print(table)
    if profile is not None:
        typer.echo(said_of_use(package, measurement, profile))


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
    from segmentation.backends.converted import forget
    from segmentation.package.hashes import SUMS
    from segmentation.package.store import default_models_path, find_package, remove_package

    folder = find_package(name, default_models_path())
    if not yes and not as_json:
        typer.confirm(f"Remove {folder} with all of its files?", abort=True)
    listing = (folder / SUMS).read_bytes() if (folder / SUMS).is_file() else b""
    remove_package(folder)
    forget(folder.parent, re.findall(r"\b[0-9a-f]{64}\b", listing.decode("ascii", "replace")))
    if as_json:
        print_json({"removed": str(folder)})
    else:
        typer.echo(f"Removed {folder}.")


def _convert(package: "Package", *, shown: bool) -> None:
    """Convert the networks for OpenVINO, so that no worker has to; what goes wrong is told, and the package stays."""
    from segmentation.backends.converted import convert_all

    with phase("converting networks for OpenVINO", shown=shown):
        problem = convert_all(package)
    if problem:
        typer.echo(problem, err=True)


def _open(name: str) -> "Package":
    from segmentation.package.package import open_package
    from segmentation.package.store import default_models_path, find_package

    return open_package(find_package(name, default_models_path()))
