"""``segnode spool``."""

import json

import typer

from app.cli.options import AsJson, Config
from app.node.presence import read_processes
from app.node.spool_access import spool_to_change
from app.settings.node import load_settings
from core.errors import ConfigInvalid
from dicom_io.spool.isolation import apart
from dicom_io.spool.records import State
from dicom_io.spool.revision import Revision

app = typer.Typer(help="Look after the spool, which is the truth about every study.", no_args_is_help=True)


@app.callback()
def _spool() -> None:
    """Make a command group of what would otherwise be one command."""


@app.command("rebuild")
def rebuild(config: Config, as_json: AsJson = False) -> None:
    """Make the workflow database anew from the spool, when it is lost, damaged or of another day than the spool.

    \b
    Stop every node that uses the database first. An SQLite file that is there
    is renamed to FILE.before-TIME; in PostgreSQL, work of this spool that is
    under way is dropped. Then every study that is not at its end is queued
    again. Results that exist are not made again, and what a destination has got
    is not sent again. Start the node afterwards.

    \b
    Example:
      systemctl stop segnode
      sudo -u segnode segnode spool rebuild \\
        --config /etc/segnode/node.yaml
      systemctl start segnode

    \b
    Exit codes: 0 done, 2 a node runs, or settings, spool or database are wrong.
    """
    from app.workflow.rebuild_database import rebuild as rebuild_database

    settings = load_settings(config)
    spool = spool_to_change(settings.spool)
    if read_processes(settings.spool):
        raise ConfigInvalid(f"a node works with {settings.spool}; stop it first")
    try:
        rebuilt = rebuild_database(settings, spool)
    except OSError as error:
        raise ConfigInvalid(f"spool {settings.spool}: {error.strerror}; see that it can be read and written") from error
    receiving, ended = [], []
    for key in spool.study_keys():
        with apart(key):
            if (latest := spool.latest_revision(key)) is not None:
                receiving += [latest] if latest.state is State.RECEIVING else []
                ended += [latest] if latest.state.is_final else []
    if as_json:
        content = {"begun_again": _ids(rebuilt.begun_again), "receiving": _ids(receiving), "at_their_end": len(ended)}
        typer.echo(json.dumps(content))
        return
    if rebuilt.set_aside is not None:
        typer.echo(f"the database that was there is kept as {rebuilt.set_aside.name}")
    for revision in rebuilt.begun_again:
        typer.echo(f"{revision.key} rev {revision.number} is queued again")
    typer.echo(f"{len(rebuilt.begun_again)} queued again, {len(receiving)} receiving, {len(ended)} at their end")


def _ids(revisions: list[Revision] | tuple[Revision, ...]) -> list[str]:
    return [f"{revision.key}/{revision.number}" for revision in revisions]
