"""``segnode train``: prepare a data set, train on it, look at runs, compare them, make a package."""

import json
import os
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from app.cli.options import AsJson
from core.errors import ConfigInvalid, PackageInvalid

if TYPE_CHECKING:
    from training.runs.records import RunFolder
    from training.settings import TrainingSettings

app = typer.Typer(name="train", help="Train nnU-Net on this site's devices or on SLURM.", no_args_is_help=True)

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The site's training.yaml; left out: here, then in /etc/segnode."),
]
Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="Its number, its title or its whole name.")]
Runs = Annotated[list[str] | None, typer.Argument(metavar="RUN...", help="A part of its name, see status.")]


@app.command()
def plan(
    datasets: Annotated[list[str], typer.Argument(metavar="DATASET...", help="Number, title or whole name of each.")],
    planner: Annotated[str, typer.Option(help="default, or a residual encoder: resenc-m, -l, -xl.")] = "default",
    gpu_memory: Annotated[float | None, typer.Option(help="GB that a training may take; else the planner's.")] = None,
    configuration: Annotated[
        list[str] | None, typer.Option("--configuration", "-C", help="Prepare this one; may be repeated. Else all.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes at a time; left out: one a core.")] = None,
    config: Config = None,
) -> None:
    """Plan data sets as nnU-Net does, and prepare their cases, in parallel within the memory there is.

    \b
    Examples:
      segnode train plan Liver
      segnode train plan Liver Kidney --planner resenc-m

    What is prepared is not prepared again, also after it was interrupted.
    Exit codes: 0 prepared, 2 a data set or a case is wrong, 5 a process was killed.
    """
    settings = _site(config)
    from app.progress import progress_of
    from runtime.processor import usable_cores
    from segmentation.inference.available_memory import host_memory
    from training.preparation.plans import Planner, make_plans
    from training.preparation.prepare import ALL, Wanted, prepare
    from training.runs.choice import find_dataset
    from training.runs.memory import predict_gb

    if planner not in set(Planner):
        raise ConfigInvalid(f"--planner {planner}: there are: {', '.join(Planner)}")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the processes share the cores, not their threads
    processes = workers or usable_cores()
    wanted = []
    for name in [find_dataset(settings, one) for one in datasets]:
        plans, content = make_plans(settings, name, Planner(planner), gpu_memory, processes)
        there = [one for one in content["configurations"] if one in ALL]
        if unknown := [one for one in configuration or () if one not in there]:
            raise ConfigInvalid(f"--configuration {unknown[0]}: {plans} of {name} have: {', '.join(there)}")
        channels, labels = len(content["configurations"][there[0]]["normalization_schemes"]), _labels(settings, name)
        for one in configuration or there:
            wanted.append(Wanted(name, plans, one))
            typer.echo(
                f"{name} {plans} {one}: {_shape_of(content['configurations'][one])}, "
                f"a training takes about {predict_gb(content, one, channels, labels):.1f} GB of GPU memory"
            )
    memory = int(settings.memory_gb * 2**30) if settings.memory_gb else host_memory().free
    with progress_of("preparing cases", shown=True) as on_progress:
        done = prepare(settings, wanted, processes, memory, on_progress)
    typer.echo(f"prepared {done.prepared} cases, {done.known} were prepared before")
    typer.echo(f"next: segnode train start {wanted[0].dataset} {wanted[0].configuration}")


@app.command()
def start(
    dataset: Dataset,
    configuration: Annotated[str, typer.Argument(help="Of the plans: 2d, 3d_fullres, 3d_lowres, 3d_cascade_fullres.")],
    fold: Annotated[list[str] | None, typer.Option("--fold", "-f", help="0, 1, …, or all; may be repeated.")] = None,
    trainer: Annotated[str, typer.Option(help="A trainer class of nnU-Net that keeps the network.")] = "nnUNetTrainer",
    plans: Annotated[str, typer.Option(help="Name of the plans.")] = "nnUNetPlans",
    epochs: Annotated[int | None, typer.Option(help="How many; left out: the trainer's own, 1000 mostly.")] = None,
    iterations: Annotated[int | None, typer.Option(help="In an epoch; left out: the trainer's own, 250.")] = None,
    pretrained: Annotated[Path | None, typer.Option(help="An nnU-Net checkpoint to begin with.")] = None,
    from_package: Annotated[str | None, typer.Option("--from", help="A model package to begin with.")] = None,
    devices: Annotated[int, typer.Option(help="How many GPUs together for one run.")] = 1,
    shared: Annotated[bool, typer.Option("--shared", help="Other runs may use the device meanwhile.")] = False,
    priority: Annotated[int, typer.Option(help="A smaller one comes first.")] = 100,
    queue_only: Annotated[bool, typer.Option("--queue-only", help="Start no worker: a service runs one.")] = False,
    config: Config = None,
) -> None:
    """Queue the training of one or more folds, and begin it.

    \b
    Examples:
      segnode train start Liver 3d_fullres --fold 0
      segnode train start Liver 3d_fullres -f 0 -f 1 -f 2 -f 3 -f 4

    A run that was killed goes on from its newest checkpoint.
    Exit codes: 0 queued, 2 it cannot be done as it is asked for.
    """
    settings = _site(config)
    from pydantic import ValidationError

    from training.runs.choice import check_request, find_dataset
    from training.runs.records import RunFolder, RunRequest
    from training.runs.trainer import check_trainer

    check_trainer(trainer)
    name = find_dataset(settings, dataset)
    if from_package is not None:
        if pretrained is not None:
            raise ConfigInvalid("--from and --pretrained: both say what to begin with; give one")
        pretrained = _weights_of(settings, from_package, configuration)
    try:
        requests = [
            RunRequest(
                dataset=name,
                configuration=configuration,
                fold=int(one) if one.isdigit() else one,
                trainer=trainer,
                plans=plans,
                epochs=epochs,
                iterations=iterations,
                pretrained=pretrained.absolute() if pretrained else None,
                devices=devices,
                shared=shared,
                priority=priority,
            )
            for one in fold or ["0"]
        ]
    except ValidationError as error:
        raise ConfigInvalid("; ".join(_said(problem) for problem in error.errors())) from error
    for request in requests:
        check_request(settings, request)
    runs = [RunFolder.create(settings.folders.queue, request) for request in requests]
    for run in runs:
        typer.echo(f"queued {run.key}")
    _begin(settings, config, runs, queue_only=queue_only)


@app.command()
def work(
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End when nothing is left to do.")] = False,
    config: Config = None,
) -> None:
    """Run this machine's part of the queue until Ctrl-C or SIGTERM; for a service of the machine.

    A run whose worker ends goes on when one starts again.
    """
    settings = _site(config)
    from runtime.logs import configure_logging
    from training.runs.worker_lock import is_needed

    if settings.launcher == "slurm":
        raise ConfigInvalid("launcher: slurm: SLURM runs the queue itself, so this machine needs no worker")
    configure_logging("training", settings.logs)
    if until_idle and not is_needed(settings):
        return
    from training.runs.worker import work as serve

    serve(settings, until_idle=until_idle)


@app.command()
def status(runs: Runs = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show the runs: state, epochs, the time that is left, and the pseudo Dice on the validation cases."""
    settings = _site(config)
    from training.runs.choice import find_runs

    found = find_runs(settings, runs or [])
    if as_json:
        typer.echo(json.dumps([_facts(run) for run in found], indent=1))
        return
    table = Table(Column("Run", overflow="fold"), "State", "Epochs", "Left", "Dice", Column("Where", overflow="fold"))
    reasons = []
    for run in found:
        facts = _facts(run)
        dice = "" if facts["dice"] is None else f"{facts['dice']:.3f}"
        epochs = f"{facts['epoch']} of {facts['epochs']}" if facts["epochs"] else ""
        left = _duration(facts["seconds_left"]) if facts["state"] == "running" else ""
        where = facts["job"] or " ".join(filter(None, (facts["host"], facts["device"])))
        table.add_row(run.key.replace("__", "\n  "), facts["state"], epochs, left, dice, where)
        reasons += [f"{run.key}: {facts['reason']}"] if facts["reason"] else []
    console = Console()
    console.print(table if found else f"No runs in {settings.folders.queue}.")
    for reason in reasons:
        console.print(reason, soft_wrap=True, markup=False, highlight=False)


@app.command()
def logs(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A part of its name that no other run has.")],
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last.")] = 40,
    config: Config = None,
) -> None:
    """Print the end of a run's log, and the paths of the whole log and of its curves."""
    settings = _site(config)
    from training.runs.choice import find_runs

    found = find_runs(settings, [run])
    if len(found) > 1:
        raise ConfigInvalid(f"{run}: in the names of {len(found)} runs; give more of one: {found[0].key}")
    typer.echo("\n".join(found[0].last_lines(lines)))
    typer.echo(f"whole log: {found[0].log}")
    curves = found[0].request().output(settings.folders) / "progress.png"
    if curves.exists():
        typer.echo(f"curves:    {curves}")


@app.command()
def stop(runs: Runs, config: Config = None) -> None:
    """Stop runs after their present epoch, with a checkpoint; resume goes on from there."""
    settings = _site(config)
    from training.runs.choice import find_runs
    from training.runs.records import State
    from training.runs.slurm import cancel

    for run in find_runs(settings, runs or []):
        state = run.state()
        if state.state is State.QUEUED and state.job:
            cancel(state.job)
            run.change(state=State.STOPPED)
            typer.echo(f"{run.key} is stopped")
        elif not state.state.is_over:
            run.ask_to_stop()
            typer.echo(f"{run.key} stops after its epoch")


@app.command()
def resume(
    runs: Runs,
    queue_only: Annotated[bool, typer.Option("--queue-only", help="Start no worker: a service runs one.")] = False,
    config: Config = None,
) -> None:
    """Go on with runs that were stopped or failed, from their newest checkpoint; never anew in silence."""
    settings = _site(config)
    from training.runs.choice import find_runs
    from training.runs.records import State

    resumed = []
    for run in find_runs(settings, runs or []):
        with run.changing():
            state = run.state()
            if state.state not in (State.STOPPED, State.FAILED):
                typer.echo(f"{run.key} is {state.state}")
                continue
            run.ask_to_stop(wanted=False)
            changes = {"state": State.QUEUED, "revision": state.revision + 1, "reason": "", "crashes": ()}
            run.write_state(state.model_copy(update=changes))
        resumed.append(run)
        typer.echo(f"queued {run.key}, after epoch {run.progress().saved_epoch}")
    _begin(settings, config, resumed, queue_only=queue_only)


@app.command()
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

    nnU-Net compares what is trained and validated in all folds. A table, plots and
    pictures of the worst cases are written beside the results.
    """
    settings = _site(config)
    from runtime.processor import usable_cores
    from training.promotion.best import find_best, folds_of
    from training.runs.choice import find_dataset

    name = find_dataset(settings, dataset)
    won = find_best(settings, name, folds_of(settings, name, fold or ()), usable_cores())
    facts: dict[str, Any] = {"scores": won.scores, "members": [path.name for path in won.members]}
    facts |= {"dice_before_postprocessing": won.before, "dice": won.after}
    raw = settings.folders.raw / name
    report = settings.folders.results / name / "comparison"
    shown = _evaluated(won.predictions, raw, report, facts)
    if as_json:
        typer.echo(json.dumps(facts | {"means": shown, "report": str(report)}, indent=1))
        return
    table = Table("Model", "Mean Dice", title=f"cross-validation of {name}")
    for model, score in sorted(won.scores.items(), key=lambda item: -item[1]):
        table.add_row(model, f"{score:.4f}")
    table.caption = f"best: {' and '.join(facts['members'])}; with post-processing {won.after:.4f}"
    Console().print(table, _table_of(shown))
    typer.echo(f"table, plots and worst cases: {report}")
    typer.echo(f"next: segnode train package {name} --name NAME")


@app.command()
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
    settings = _site(config)
    from training.runs.choice import find_dataset

    raw = settings.folders.raw / find_dataset(settings, dataset)
    shown = _evaluated(predictions, raw, out, {"predictions": str(predictions)})
    if as_json:
        typer.echo(json.dumps({"means": shown, "report": str(out)}, indent=1))
        return
    Console().print(_table_of(shown))
    typer.echo(f"table, plots and worst cases: {out}")


@app.command()
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
    settings = _site(config)
    from app.progress import progress_of
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


def _weights_of(settings: "TrainingSettings", name: str, configuration: str) -> Path:
    from segmentation.package.package import open_package
    from segmentation.package.store import default_models_path, find_package
    from training.runs.pretrained import write_pretrained

    return write_pretrained(open_package(find_package(name, default_models_path())), configuration, settings.folders)


def _evaluated(predictions: Path, raw: Path, report: Path, facts: dict[str, Any]) -> dict[str, Any]:
    from training.promotion.evaluation import evaluate_folder, labels_of, means, worst_cases, write_report
    from training.promotion.pictures import draw_case, draw_figures

    description = json.loads((raw / "dataset.json").read_text())
    ending = description["file_ending"]
    labels, ignore = labels_of(description)
    found = evaluate_folder(predictions, raw / "labelsTr", labels, ending, ignore)
    write_report(report, found, facts)
    draw_figures(report, found)
    for rank, case in enumerate(worst_cases(found), start=1):
        files = (raw / "imagesTr" / f"{case}_0000{ending}", raw / "labelsTr" / f"{case}{ending}")
        draw_case(report / f"worst-{rank}-{case}.png", *files, predictions / f"{case}{ending}")
    return means(found)


def _table_of(shown: dict[str, Any]) -> Table:
    table = Table("Label", "Dice", "HD95, mm", "True, ml", "Predicted, ml")
    for label, row in shown.items():
        table.add_row(label, *("" if value is None else f"{value:.3f}" for value in row.values()))
    return table


def _site(config: Path | None) -> "TrainingSettings":
    if any(find_spec(package) is None for package in ("nnunetv2",)):
        raise ConfigInvalid("the training's packages are not installed; see: pip install 'segnode[training]'")
    from training.folders import open_site
    from training.settings import load_training_settings

    settings = load_training_settings(config)
    open_site(settings)
    return settings


def _labels(settings: "TrainingSettings", dataset: str) -> int:
    return len(json.loads((settings.folders.preprocessed / dataset / "dataset.json").read_text())["labels"])


def _shape_of(configuration: dict[str, Any]) -> str:
    patch, spacing = ("x".join(f"{v:g}" for v in configuration[key]) for key in ("patch_size", "spacing"))
    return f"patch {patch} at {spacing} mm, batch {configuration['batch_size']}"


def _begin(settings: "TrainingSettings", config: Path | None, runs: Sequence["RunFolder"], *, queue_only: bool) -> None:
    """Give runs to SLURM; or start a worker on this machine that ends when nothing is left for it."""
    from runtime.child import PYTHON
    from training.runs.slurm import submit
    from training.settings import settings_file

    if settings.launcher == "slurm":
        for count in sorted({run.request().devices for run in runs}):
            together = [run for run in runs if run.request().devices == count]
            typer.echo(f"SLURM has it as job {submit(settings, settings_file(config), together)}; see also: squeue")
        return
    if queue_only:
        return
    place = ["--config", str(config.absolute())] if config else []
    log = settings.folders.queue / f"{settings.executor}.log"
    with log.open("ab") as file:
        subprocess.Popen(  # noqa: S603 - this very program
            [*PYTHON, "app.cli", "train", "work", "--until-idle", *place],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    typer.echo(f"a worker runs it on this machine; its log: {log}")


def _facts(run: "RunFolder") -> dict[str, Any]:
    state, progress = run.state(), run.progress()
    facts = {"run": run.key, **state.model_dump(mode="json"), **progress.model_dump(mode="json")}
    return facts | {"seconds_left": progress.seconds_left}


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _said(problem: Any) -> str:
    from core.validation_message import plain_message

    where = ".".join(map(str, problem["loc"][:1]))
    return f"--{where} {problem['input']}: {plain_message(problem['msg'])}"
