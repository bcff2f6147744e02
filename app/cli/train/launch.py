"""Runs that are queued are given to whoever runs them: a worker of this machine, or SLURM."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from training.runs.records import RunFolder
    from training.settings import TrainingSettings


def begin(settings: "TrainingSettings", config: Path | None, runs: Sequence["RunFolder"], *, queue_only: bool) -> None:
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
