"""The ``segnode`` command. Heavy imports wait until a command needs them, so that ``--help`` answers at once."""

import signal
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from app.stop_signals import ENDING

# numpy starts threads while it is imported. They inherit this mask, so that the signals come to this project's threads.
_MASK = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
# isort: split
from app.cli import (  # noqa: E402 - see above
    demo,
    models,
    package,
    run,
    series,
    serve,
    service,
    spool,
    status,
    studies,
)
from app.cli.datasets import commands as datasets  # noqa: E402 - see above
from app.cli.train import commands as train  # noqa: E402 - see above
from core.errors import SegnodeError  # noqa: E402 - see above
from core.validation_message import plain_message  # noqa: E402 - see above
from core.version import VERSION  # noqa: E402 - see above

signal.pthread_sigmask(signal.SIG_SETMASK, _MASK)


class _Commands(TyperGroup):
    """The commands, whose faulty values are reported in words for the person who typed them."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was typed."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = plain_message(error.message)
            raise


cli = typer.Typer(
    name="segnode",
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A DICOM node that runs nnU-Net v2 models: a study comes in, a DICOM SEG goes back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its tracebacks print local variables, and those can be a patient's
    rich_markup_mode="rich",
)
cli.command(name="run")(run.run)
cli.command(name="series")(series.series)
cli.command(name="serve")(serve.serve)
cli.command(name="status")(status.status)
cli.command(name="demo")(demo.demo)
cli.command(name="package")(package.package)
cli.command(name="api")(service.api)
cli.command(name="call")(service.call)
cli.add_typer(models.app, name="models")
cli.add_typer(datasets.app, name="datasets")
cli.add_typer(studies.app, name="studies")
cli.add_typer(spool.app, name="spool")
cli.add_typer(service.aliases, name="aliases")
cli.add_typer(train.app, name="train")


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
        cli(prog_name="segnode")
    except SegnodeError as error:
        typer.echo(f"segnode: {error}", err=True)
        sys.exit(error.exit_code)
