"""``segnode train best | evaluate | package``: how good what was trained is, and the package that is made of it."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from app.cli.model_tables import print_json
from app.cli.options import AsJson
from app.cli.train.options import Config, Dataset
from app.cli.train.site import open_site_of
from app.progress import progress_of
from core.errors import PackageInvalid


def best(
    dataset: Dataset,
    fold: Annotated[list[int] | None, typer.Option("--fold", "-f", help="Compare over these; else all.")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Find the best configuration, or ensemble of two, by cross-validation, and the post-processing that helps.

    \b
    Example:
      segnode train best Liver

    nnU-Net compares what is trained and validated in all folds. A table, plots
    and pictures of the worst cases are written beside the results.
    """
    settings = open_site_of(config)
    from runtime.processor import usable_cores
    from training.promotion.best import find_best, folds_of
    from training.promotion.report import report_on
    from training.runs.choice import find_dataset

    name = find_dataset(settings, dataset)
    won = find_best(settings, name, folds_of(settings, name, fold or ()), usable_cores())
    facts: dict[str, Any] = {"scores": won.scores, "members": [path.name for path in won.members]}
    facts |= {"dice_before_postprocessing": won.before, "dice": won.after}
    raw = settings.folders.raw / name
    report = settings.folders.results / name / "comparison"
    shown = report_on(won.predictions, raw, report, facts)
    if as_json:
        print_json(facts | {"means": shown, "report": str(report)})
        return
    table = Table("Model", "Mean Dice", title=f"cross-validation of {name}")
    for model, score in sorted(won.scores.items(), key=lambda item: -item[1]):
        table.add_row(model, f"{score:.4f}")
    table.caption = f"best: {' and '.join(facts['members'])}; with post-processing {won.after:.4f}"
    Console().print(table, _table_of(shown))
    typer.echo(f"table, plots and worst cases: {report}")
    typer.echo(f"next: segnode train package {name} --name NAME")


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder of predicted masks, named as the true ones.")],
    dataset: Dataset,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the report.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Compare masks of any origin with a data set's own: Dice, 95 % surface distance, volumes, worst cases.

    \b
    Example:
      segnode train evaluate predicted/ Liver --out report
    """
    settings = open_site_of(config)
    from training.promotion.report import report_on
    from training.runs.choice import find_dataset

    raw = settings.folders.raw / find_dataset(settings, dataset)
    shown = report_on(predictions, raw, out, {"predictions": str(predictions)})
    if as_json:
        print_json({"means": shown, "report": str(out)})
        return
    Console().print(_table_of(shown))
    without = json.loads((out / "figures.json").read_text())["without_prediction"]
    if without:
        typer.echo(f"{len(without)} cases have no predicted mask, such as {without[0]}, and are not in the figures")
    typer.echo(f"table, plots and worst cases: {out}")


def package(
    dataset: Dataset,
    name: Annotated[str, typer.Option("--name", help="Name of the new package: a-z, 0-9, '.', '_', '-'.")],
    configuration: Annotated[
        list[str] | None,
        typer.Option("--configuration", "-C", help="Instead of the best; may be repeated to average."),
    ] = None,
    config: Config = None,
) -> None:
    """Make a model package of the best that was trained, proven against stock nnU-Net's own prediction.

    \b
    Example:
      segnode train package Liver --name liver

    What the data set's lock knows answers the questions of model.yaml, so that
    segnode run takes the package at once.
    Exit codes: 0 made and proven, 2 nothing to make it of, 4 the golden case failed.
    """
    settings = open_site_of(config)
    from runtime.processor import settle_threads
    from segmentation.package.open_decisions import standing_questions
    from segmentation.package.store import folder_for_new_packages
    from segmentation.verification.golden_case import explain_failure
    from training.promotion.package import chosen_members, make_package
    from training.runs.choice import find_dataset

    settle_threads()
    found = find_dataset(settings, dataset)
    members = chosen_members(settings, found, configuration or [])
    with progress_of("converting weights", shown=True) as on_progress:
        made = make_package(settings, found, members, name, folder_for_new_packages(), on_progress)
    typer.echo(f"{made.package.folder}: made of {', '.join(path.name for path in members)}")
    if made.outcome is None:
        typer.echo("no golden case: the network finds nothing in the smallest cases; prove it: segnode models verify")
    elif not made.outcome.passed:
        raise PackageInvalid(explain_failure(made.package, made.outcome))
    else:
        typer.echo(f"golden case {made.case}: {made.outcome.agreement:.4%} of the voxels as stock nnU-Net's")
    for question in standing_questions(made.package):
        typer.echo(f"{made.package.folder / 'model.yaml'} asks you: {question}")
    typer.echo(f"next: segnode run DICOM_FOLDER OUT --model {name}")


def _table_of(shown: dict[str, Any]) -> Table:
    table = Table("Label", "Dice", "HD95, mm", "True, ml", "Predicted, ml")
    for label, row in shown.items():
        table.add_row(label, *("" if value is None else f"{value:.3f}" for value in row.values()))
    return table
