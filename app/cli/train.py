"""``segnode train``: prepare a data set, train on it, look at runs, stop and resume them."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from app.cli.model_tables import print_json
from app.cli.options import AsJson
from app.cli.train_promotion import best, evaluate, package
from app.cli.training_site import Config, Dataset, open_site_of
from app.progress import progress_of
from core.errors import ConfigInvalid

if TYPE_CHECKING:
    from training.runs.records import RunFolder, RunRequest
    from training.settings import TrainingSettings

app = typer.Typer(name="train", help="Train nnU-Net on this site's devices or on SLURM.", no_args_is_help=True)

PLANS = "nnUNetPlans"
"""Name of the plans of nnU-Net's default planner."""

_RUN = typer.Argument(metavar="RUN...", help="A part of its name, see status.")
Runs = Annotated[list[str], _RUN]


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
    settings = open_site_of(config)
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
    first = wanted[0]
    named = "" if first.plans == PLANS else f" --plans {first.plans}"
    typer.echo(f"next: segnode train start {first.dataset} {first.configuration}{named}")


@app.command()
def start(
    dataset: Dataset,
    configuration: Annotated[str, typer.Argument(help="Of the plans: 2d, 3d_fullres, 3d_lowres, 3d_cascade_fullres.")],
    fold: Annotated[list[str] | None, typer.Option("--fold", "-f", help="0, 1, …, or all; may be repeated.")] = None,
    trainer: Annotated[str, typer.Option(help="A trainer class of nnU-Net that keeps the network.")] = "nnUNetTrainer",
    plans: Annotated[str, typer.Option(help="Name of the plans.")] = PLANS,
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
    settings = open_site_of(config)
    from training.runs.choice import check_request, find_dataset
    from training.runs.records import RunFolder
    from training.runs.trainer import check_trainer

    check_trainer(trainer)
    name = find_dataset(settings, dataset)
    if from_package is not None:
        if pretrained is not None:
            raise ConfigInvalid("--from and --pretrained: both say what to begin with; give one")
        pretrained = _weights_of(settings, from_package, configuration)
    requests = _requests(
        fold or ["0"],
        dataset=name,
        configuration=configuration,
        trainer=trainer,
        plans=plans,
        epochs=epochs,
        iterations=iterations,
        pretrained=pretrained.absolute() if pretrained else None,
        devices=devices,
        shared=shared,
        priority=priority,
    )
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
    settings = open_site_of(config)
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
def status(runs: Annotated[list[str] | None, _RUN] = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show the runs: state, epochs, the time that is left, and the pseudo Dice on the validation cases."""
    settings = open_site_of(config)
    from training.runs.choice import find_runs

    found = find_runs(settings, runs or [])
    if as_json:
        print_json([_facts(run) for run in found])
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
    settings = open_site_of(config)
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
    settings = open_site_of(config)
    from training.runs.choice import find_runs
    from training.runs.records import State
    from training.runs.slurm import cancel

    for run in find_runs(settings, runs):
        state = run.state()
        if state.state.is_over:
            continue
        run.ask_to_stop()  # before a job is taken out of the queue, since it may begin at that moment
        if state.state is State.QUEUED and state.job:
            cancel(state.job)
            run.change(state=State.STOPPED)
            typer.echo(f"{run.key} is stopped")
        else:
            typer.echo(f"{run.key} stops after its epoch")


@app.command()
def resume(
    runs: Runs,
    queue_only: Annotated[bool, typer.Option("--queue-only", help="Start no worker: a service runs one.")] = False,
    config: Config = None,
) -> None:
    """Go on with runs that were stopped or failed, from their newest checkpoint; never anew in silence."""
    settings = open_site_of(config)
    from training.runs.choice import find_runs
    from training.runs.records import State

    resumed = []
    for run in find_runs(settings, runs):
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
    if resumed:
        _begin(settings, config, resumed, queue_only=queue_only)


for _command in (best, evaluate, package):
    app.command()(_command)


def _requests(folds: Sequence[str], **asked: Any) -> "list[RunRequest]":
    """Make the request of each fold; what was asked for wrongly is told by its option."""
    from pydantic import ValidationError

    from training.runs.records import RunRequest

    try:
        return [RunRequest(fold=int(one) if one.isdigit() else one, **asked) for one in folds]
    except ValidationError as error:
        raise ConfigInvalid("; ".join(_said(problem) for problem in error.errors())) from error


def _weights_of(settings: "TrainingSettings", name: str, configuration: str) -> Path:
    from segmentation.package.package import open_package
    from segmentation.package.store import default_models_path, find_package
    from training.runs.pretrained import write_pretrained

    return write_pretrained(open_package(find_package(name, default_models_path())), configuration, settings.folders)


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
