"""``segnode serve``."""

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from app.cli.options import Config
from app.settings.node import NodeSettings, load_settings


class Part(StrEnum):
    """A part of a node that a machine or container runs alone."""

    LISTENER = "listener"
    WORKER = "worker"


def serve(
    config: Config,
    only: Annotated[Part | None, typer.Option(help="Run this part alone; the other one shares the spool.")] = None,
) -> None:
    """Run a node: receive studies, segment them, and send the results.

    \b
    Examples:
      segnode serve --config node.yaml
      segnode serve --config node.yaml --only worker   # beside a listener elsewhere

    \b
    Prints "ready ae=AE port=PORT" once it takes work. Ends on SIGTERM or Ctrl-C.
    Exit codes: 0 stopped, 2 the settings are wrong or another node runs on the
    spool, 4 a model package is invalid.
    """
    from app.node.node import Node, child_commands
    from runtime.logs import configure_logging

    # What the node and its children write is the patients': nobody else on the machine reads it.
    os.umask(0o077)
    configure_logging("node")
    settings = load_settings(config)
    listeners = 0 if only is Part.WORKER else settings.reception.processes
    workers = 0 if only is Part.LISTENER else len(settings.workers)
    commands = child_commands(str(config.absolute()), listeners, workers)
    Node(settings, commands, announce).run()


def announce(settings: NodeSettings) -> None:
    """Say on standard output that the node takes work."""
    sys.stdout.write(f"ready ae={settings.ae_title} port={settings.port}\n")
    sys.stdout.flush()
