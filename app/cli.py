"""The ``segnode`` command. Heavy imports wait until a command needs them, so that ``--help`` answers at once."""

import logging
import os
import sys
from typing import Annotated

import typer

from app import models_cli, run_cli
from core.errors import SegnodeError
from core.version import VERSION

cli = typer.Typer(
    name="segnode",
    help="A DICOM node that runs nnU-Net v2 models: a study comes in, a DICOM SEG goes back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its tracebacks print local variables, and those can be a patient's
    rich_markup_mode="rich",
)
cli.command(name="run")(run_cli.run)
cli.add_typer(models_cli.app, name="models")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"segnode {VERSION}")
        raise typer.Exit


@cli.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every step to standard error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    configure_logging(verbose=verbose)


def configure_logging(*, verbose: bool = False) -> None:
    """Log to standard error, and keep the graph's runtime from narrating every start and stop."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    for chatty in ("pydicom", "pynetdicom", "highdicom", "matplotlib", "PIL"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    os.environ.setdefault("HOLOSCAN_LOG_LEVEL", "ERROR")


def main() -> None:
    """Run the command line; an error of the tree ends with its own exit code."""
    try:
        cli()
    except SegnodeError as error:
        typer.echo(f"segnode: {error}", err=True)
        sys.exit(error.exit_code)
