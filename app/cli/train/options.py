"""Options that several commands of ``segnode train`` share."""

from pathlib import Path
from typing import Annotated

import typer

PLANS = "nnUNetPlans"
"""Name of the plans of nnU-Net's default planner."""

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The site's training.yaml; left out: here, then in /etc/segnode."),
]
Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="Its number, its title or its whole name.")]
QueueOnly = Annotated[bool, typer.Option("--queue-only", help="Start no worker: a service runs one.")]
