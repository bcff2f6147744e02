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
