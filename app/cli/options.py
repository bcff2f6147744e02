"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Option("--config", "-c", help="The node's settings, a node.yaml.")]


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]


class Device(StrEnum):
    """The device on which the network runs."""

    AUTO = "auto"
    CUDA = "cuda"
    CPU = "cpu"


def group_of(name: str, what: str) -> typer.Typer:
    """Return a group of commands that shows its help where none of them is named."""
    return typer.Typer(name=name, help=what, no_args_is_help=True, rich_markup_mode="rich")
