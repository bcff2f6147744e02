"""``segnode train status | logs | stop | resume``: look at runs, and have them stop and go on."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from app.cli.model_tables import print_json
from app.cli.options import AsJson
from app.cli.train.launch import begin
from app.cli.train.options import Config, QueueOnly
from app.cli.train.site import open_site_of
from core.errors import ConfigInvalid

if TYPE_CHECKING:
    from training.runs.records import RunFolder

_RUN = typer.Argument(metavar="RUN...", help="A part of its name, see status.")
Runs = Annotated[list[str], _RUN]


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


def resume(
    runs: Runs,
    queue_only: QueueOnly = False,
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
        begin(settings, config, resumed, queue_only=queue_only)


def _facts(run: "RunFolder") -> dict[str, Any]:
    state, progress = run.state(), run.progress()
    facts = {"run": run.key, **state.model_dump(mode="json"), **progress.model_dump(mode="json")}
    return facts | {"seconds_left": progress.seconds_left}


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
