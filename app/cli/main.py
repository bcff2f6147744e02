"""The ``segnode`` command. Heavy imports wait until a command needs them, so that ``--help`` answers at once."""

import sys
from typing import Annotated

import typer

from app.cli import demo as demo_cli
from app.cli import models as models_cli
from app.cli import package as package_cli
from app.cli import run as run_cli
from app.cli import serve as serve_cli
from app.cli import service as api_cli
from app.cli import spool as spool_cli
from app.cli import status as status_cli
from app.cli import studies as studies_cli
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
cli.command(name="serve")(serve_cli.serve)
cli.command(name="status")(status_cli.status)
cli.command(name="demo")(demo_cli.demo)
cli.command(name="package")(package_cli.package)
cli.command(name="api")(api_cli.api)
cli.command(name="call")(api_cli.call)
cli.add_typer(models_cli.app, name="models")
cli.add_typer(studies_cli.app, name="studies")
cli.add_typer(spool_cli.app, name="spool")
cli.add_typer(api_cli.aliases, name="aliases")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"segnode {VERSION}")
        raise typer.Exit


@cli.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; an error of the tree ends with its own exit code."""
    try:
        cli()
    except SegnodeError as error:
        typer.echo(f"segnode: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
