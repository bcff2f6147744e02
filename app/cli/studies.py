"""``segnode studies``: look at the studies of a node, and run one again."""

import json
import os
import pwd
from typing import Annotated, Any, Literal

import typer

from app.cli.options import AsJson, Config
from app.node.spool_access import spool_to_change, spool_to_read
from app.settings.node import NodeSettings, load_settings
from core.errors import ConfigInvalid
from dicom_io.audit.trail import Transfer
from dicom_io.spool import study_actions
from dicom_io.spool.isolation import DAMAGE, problem_of
from dicom_io.spool.revision import Revision, State
from dicom_io.spool.spool import Spool
from dicom_io.spool.study_patient import what_is_kept

app = typer.Typer(help="Look at the studies of a node, and run one again.", no_args_is_help=True)


ShortID = Annotated[str, typer.Argument(metavar="SHORTID", help="The study's short ID, or its beginning.")]


DAMAGED = "damaged"
"""In place of the state of a study whose files cannot be read."""


@app.command("list")
def list_studies(config: Config, as_json: AsJson = False) -> None:
    """List every study with its state; one whose files cannot be read is ``damaged``."""
    spool = spool_to_read(load_settings(config).spool)
    rows = [row for key in spool.study_keys() if (row := _newest(spool, key)) is not None]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        if row["state"] == DAMAGED:
            typer.echo(f"{row['id']}  {DAMAGED}: {row['problem']}")
            continue
        reason = row["reason"]["code"] if row["reason"] else ""
        reason += f" ({row['quarantined']} quarantined)" if row["quarantined"] else ""
        typer.echo(
            f"{row['id']}  {row['since']}  rev {row['revision']}  {row['images']:5d} images  {row['state']} {reason}"
        )


@app.command("show")
def show(short_id: ShortID, config: Config, as_json: AsJson = False) -> None:
    """Show which study a short ID is, and how far each of its revisions came."""
    settings = load_settings(config)
    spool = spool_to_read(settings.spool)
    key = _find(spool, short_id)
    _audit(settings, "R", what_is_kept(spool, key))
    revisions = [_row(r) | {"outcome": r.read_outcome(), "deliveries": r.deliveries()} for r in spool.revisions(key)]
    if as_json:
        held = {"quarantined": spool.quarantined(key)}
        typer.echo(json.dumps({"id": key, **spool.study(key), **held, "revisions": revisions}))
        return
    facts = spool.study(key)
    typer.echo(f"{key}  study {facts['study']}  called AE {facts['called_ae']}")
    if held_back := spool.quarantined(key):
        typer.echo(f"  {held_back} images came with other pixels or geometry under a UID that was here; see: release")
    for row in revisions:
        typer.echo(f"  rev {row['revision']}: {row['state']} since {row['since']}, {row['images']} images")
        if row["reason"]:
            typer.echo(f"    {row['reason']['code']}: {row['reason']['message']}")
        for note in row["notes"]:
            typer.echo(f"    note: {note}")
        for name, delivery in row["deliveries"].items():
            typer.echo(f"    {name}: {delivery['state']}, {delivery['attempts']} attempts {delivery['reason']}")


@app.command("retry")
def retry(short_id: ShortID, config: Config, as_json: AsJson = False) -> None:
    """Run a study again that is at its end; a node that serves this spool takes it up."""
    settings = load_settings(config)
    spool = spool_to_change(settings.spool)
    try:
        revision = study_actions.run_again(spool, _find(spool, short_id))
    except ValueError as error:
        raise ConfigInvalid(f"{short_id}: {error}; wait until it is, see: segnode studies list") from error
    _audit(settings, "U", what_is_kept(spool, revision.key))
    typer.echo(json.dumps(_row(revision)) if as_json else f"{revision.key} rev {revision.number} waits to run")


@app.command("release")
def release(short_id: ShortID, config: Config, as_json: AsJson = False) -> None:
    """Have a study's quarantined images take the places of those that came first under their UIDs, and run it again."""
    settings = load_settings(config)
    spool = spool_to_change(settings.spool)
    try:
        revision = study_actions.release(spool, _find(spool, short_id))
    except ValueError as error:
        raise ConfigInvalid(f"{short_id}: {error}; see: segnode studies show {short_id}") from error
    _audit(settings, "U", what_is_kept(spool, revision.key))
    typer.echo(json.dumps(_row(revision)) if as_json else f"{revision.key} rev {revision.number} takes the images in")


@app.command("forget")
def forget(short_id: ShortID, config: Config, as_json: AsJson = False) -> None:
    """Delete a study that is at its end from the node: its images, its results and what is known of it."""
    settings = load_settings(config)
    spool = spool_to_change(settings.spool)
    key = _find(spool, short_id)
    kept = what_is_kept(spool, key)
    try:
        study_actions.forget(spool, key)
    except ValueError as error:
        raise ConfigInvalid(f"{short_id}: {error}; wait until it is, see: segnode studies list") from error
    _audit(settings, "D", kept)
    typer.echo(json.dumps({"id": key, "forgotten": True}) if as_json else f"{key} is forgotten")


def _find(spool: Spool, short_id: str) -> str:
    found = [key for key in spool.study_keys() if key.startswith(short_id)]
    if len(found) != 1:
        problem = "is the beginning of several short IDs" if found else "is no study of this node"
        raise ConfigInvalid(f"{short_id} {problem}; see: segnode studies list")
    (key,) = found
    try:
        spool.study(key)
        for revision in spool.revisions(key):
            _row(revision)
    except DAMAGE as error:
        remedy = f"stop the node, then put its files back from a backup, or move {spool.folder(key)} away"
        raise ConfigInvalid(f"{key} is damaged ({problem_of(error)}); {remedy}") from error
    return key


def _newest(spool: Spool, key: str) -> dict[str, Any] | None:
    try:
        latest = spool.latest_revision(key)
        return _row(latest) | {"quarantined": spool.quarantined(key)} if latest is not None else None
    except DAMAGE as error:
        return {"id": key, "state": DAMAGED, "problem": problem_of(error)} if spool.is_known(key) else None


def _row(revision: Revision) -> dict[str, Any]:
    state = revision.read_state()
    return {
        "id": revision.key,
        "revision": revision.number,
        "state": str(State(state["state"])),
        "since": state["since"],
        "images": revision.image_count(),
        "reason": state["reason"],
        "priority": revision.priority,
        "notes": state.get("notes", []),  # a state of an earlier version has none
    }


def _audit(settings: NodeSettings, action: Literal["R", "U", "D"], kept: Transfer) -> None:
    """Say in the audit trail who looked at a study (R), had it run again (U), or deleted it (D)."""
    settings.audit_trail().handled(_user(), action, kept)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"
