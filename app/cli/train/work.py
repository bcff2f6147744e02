"""``segnode train work``: the worker of this machine."""

from typing import Annotated

import typer

from app.cli.train.options import Config
from app.cli.train.site import open_site_of
from core.errors import ConfigInvalid


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
