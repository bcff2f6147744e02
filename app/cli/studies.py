"""``segnode studies``: look at the studies of a node, and run one again."""

import json
import os
import pwd
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from app.cli.options import AsJson, Config
from app.node.spool_access import spool_to_change, spool_to_read
from app.settings.node import NodeSettings, load_settings
from core.errors import ConfigInvalid
from dicom_io.audit.trail import Transfer
from dicom_io.spool import study_actions
from dicom_io.spool.isolation import DAMAGE, problem_of
from dicom_io.spool.records import RevisionState, State
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool
from dicom_io.spool.study_patient import what_is_kept

app = typer.Typer(help="Look at the studies of a node, and run one again.", no_args_is_help=True)


ShortID = Annotated[str, typer.Argument(metavar="SHORTID", help="The study's short ID, or its beginning.")]


DAMAGED = "damaged"
"""In place of the state of a study whose files cannot be read."""


@dataclass(frozen=True)
class _Row:
    """One revision, as its files are at this moment."""

    revision: Revision
    state: RevisionState
    images: int

    @classmethod
    def of(cls, revision: Revision) -> "_Row":
        return cls(revision, revision.read_state(), revision.image_count())

    def to_json(self) -> dict[str, Any]:
        state = self.state
        return {
            "id": self.revision.key,
            "revision": self.revision.number,
            "state": str(state.state),
            "since": state.since,
            "images": self.images,
            "reason": state.reason.to_json() if state.reason is not None else None,
            "priority": state.priority,
            "notes": list(state.notes),
            "warnings": [warning.to_json() for warning in state.warnings],
        }


@dataclass(frozen=True)
class _Newest:
    """A study's newest revision, how many of its images wait for a person, and its route as far as that is known."""

    row: _Row
    quarantined: int
    route: str

    def to_json(self) -> dict[str, Any]:
        return self.row.to_json() | {"quarantined": self.quarantined}

    def cells(self) -> tuple[str, ...]:
        row, state = self.row, self.row.state
        reason = state.reason.code if state.reason is not None else ""
        reason += f" ({self.quarantined} quarantined)" if self.quarantined else ""
        codes = dict.fromkeys(warning.code for warning in state.warnings)
        reason += f" (warnings: {', '.join(codes)})" if codes else ""
        number, images = str(row.revision.number), str(row.images)
        return (row.revision.key, number, images, self.route, _age(state), str(state.state), reason.strip())


@dataclass(frozen=True)
class _Damaged:
    """A study whose files cannot be read."""

    key: str
    problem: str

    def to_json(self) -> dict[str, Any]:
        return {"id": self.key, "state": DAMAGED, "problem": self.problem}

    def cells(self) -> tuple[str, ...]:
        return (self.key, "", "", "", "", DAMAGED, self.problem)


HEADER = ("STUDY", "REV", "IMAGES", "ROUTE", "AGE", "STATE", "REASON")
"""Titles of the list's columns."""


@app.command("list")
def list_studies(config: Config, as_json: AsJson = False) -> None:
    """List every study: newest revision, images, route, how long it is in its state, and why.

    A study whose files cannot be read is damaged. A route is the called AE title and, once the study was taken up, the
    models that run and the destinations of their results.
    """
    spool = spool_to_read(load_settings(config).spool)
    rows = [row for key in spool.study_keys() if (row := _newest(spool, key)) is not None]
    if as_json:
        typer.echo(json.dumps([row.to_json() for row in rows]))
        return
    for line in _aligned([HEADER, *(row.cells() for row in rows)]):
        typer.echo(line)


@app.command("show")
def show(short_id: ShortID, config: Config, as_json: AsJson = False) -> None:
    """Show which study a short ID is, and how far each of its revisions came."""
    settings = load_settings(config)
    spool = spool_to_read(settings.spool)
    key = _find(spool, short_id)
    _audit(settings, "R", what_is_kept(spool, key))
    if as_json:
        held = {"quarantined": spool.quarantined(key)}
        revisions = [_whole(revision) for revision in spool.revisions(key)]
        typer.echo(json.dumps({"id": key, **spool.study(key), **held, "revisions": revisions}))
        return
    facts = spool.study(key)
    typer.echo(f"{key}  study {facts['study']}  called AE {facts['called_ae']}")
    if held_back := spool.quarantined(key):
        typer.echo(f"  {held_back} images in quarantine: other pixels or geometry under a known UID; see: release")
    for revision in spool.revisions(key):
        _say(revision)


@app.command("retry")
def retry(short_id: ShortID, config: Config, as_json: AsJson = False) -> None:
    """Run a study again that is at its end, or try now to deliver one that waits for its next try.

    A node that serves this spool takes it up.
    """
    settings = load_settings(config)
    spool = spool_to_change(settings.spool)
    key = _find(spool, short_id)
    latest = spool.latest_revision(key)
    if latest is not None and latest.state is State.DELIVERING:
        _try_now(settings, spool, latest, as_json)
        return
    try:
        revision = study_actions.run_again(spool, key)
    except ValueError as error:
        raise ConfigInvalid(f"{short_id}: {error}; wait until it has, see: segnode studies list") from error
    _audit(settings, "U", what_is_kept(spool, revision.key))
    _answer(revision, "waits to run", as_json)


def _try_now(settings: NodeSettings, spool: Spool, revision: Revision, as_json: bool) -> None:
    # Imported here: it loads the workflow database's client, which takes a second.
    from app.workflow.try_now import try_deliveries_now

    hastened = try_deliveries_now(settings, spool, revision)
    _audit(settings, "U", what_is_kept(spool, revision.key))
    deliveries = "1 delivery is" if hastened == 1 else f"{hastened} deliveries are"
    _answer(revision, f"is being delivered; {deliveries} tried now instead of later", as_json)


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
    _answer(revision, "takes the images in", as_json)


@app.command("forget")
def forget(
    short_id: ShortID,
    config: Config,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where there is no terminal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a study that is at its end from the node: its images, its results and what is known of it.

    \b
    Examples:
      segnode studies forget 3f2a --config node.yaml
      segnode studies forget 3f2a --config node.yaml --yes

    It asks before it deletes. Without a terminal it needs --yes, else it ends with 2.
    """
    settings = load_settings(config)
    spool = spool_to_change(settings.spool)
    key = _find(spool, short_id)
    if not yes:
        _ask(f"Delete study {key}, {_images(spool, key)} with all results, from this node?")
    kept = what_is_kept(spool, key)
    try:
        study_actions.forget(spool, key)
    except ValueError as error:
        raise ConfigInvalid(f"{short_id}: {error}; wait until it has, see: segnode studies list") from error
    _audit(settings, "D", kept)
    typer.echo(json.dumps({"id": key, "forgotten": True}) if as_json else f"{key} is forgotten")


def _images(spool: Spool, key: str) -> str:
    latest = spool.latest_revision(key)
    return _counted(latest.image_count() if latest is not None else 0, "image")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _ask(question: str) -> None:
    """Have a person confirm what cannot be undone.

    Raises
    ------
    ConfigInvalid
        If there is no terminal to ask at.
    """
    if not sys.stdin.isatty():
        raise ConfigInvalid("nothing was deleted: there is no terminal to ask at; add --yes to be asked nothing")
    typer.confirm(question, abort=True, err=True)


def _find(spool: Spool, short_id: str) -> str:
    found = [key for key in spool.study_keys() if key.startswith(short_id)]
    if len(found) != 1:
        problem = "matches several studies" if found else "matches no study of this node"
        raise ConfigInvalid(f"{short_id} {problem}; see: segnode studies list")
    (key,) = found
    try:
        spool.study(key)
        for revision in spool.revisions(key):
            _whole(revision)
    except DAMAGE as error:
        remedy = f"stop the node, then put its files back from a backup, or move {spool.folder(key)} away"
        raise ConfigInvalid(f"{key} is damaged ({problem_of(error)}); {remedy}") from error
    return key


def _newest(spool: Spool, key: str) -> _Newest | _Damaged | None:
    try:
        latest = spool.latest_revision(key)
        if latest is None:
            return None
        row = _Row.of(latest)
        return _Newest(row, spool.quarantined(key), _route(spool, key, row.state))
    except DAMAGE as error:
        return _Damaged(key, problem_of(error)) if spool.is_known(key) else None


def _route(spool: Spool, key: str, state: RevisionState) -> str:
    try:
        called_ae = spool.study(key)["called_ae"]
    except DAMAGE:
        return "unknown"
    if state.plan is None or not state.plan.destinations:
        return called_ae
    return f"{called_ae}: {', '.join(state.plan.models)} > {', '.join(state.plan.destinations)}"


def _age(state: RevisionState) -> str:
    """Say how long a revision is in its state, in the largest unit."""
    try:
        seconds = max(0.0, time.time() - state.since_s)
    except ValueError:
        return "unknown"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Pad every column but the last to its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _answer(revision: Revision, what: str, as_json: bool) -> None:
    typer.echo(json.dumps(_Row.of(revision).to_json()) if as_json else f"{revision.key} rev {revision.number} {what}")


def _whole(revision: Revision) -> dict[str, Any]:
    outcome = revision.read_outcome()
    return _Row.of(revision).to_json() | {
        "outcome": outcome.to_json() if outcome is not None else None,
        "deliveries": {name: delivery.to_json() for name, delivery in revision.deliveries().items()},
    }


def _say(revision: Revision) -> None:
    row = _Row.of(revision)
    typer.echo(f"  rev {revision.number}: {row.state.state} since {row.state.since}, {_counted(row.images, 'image')}")
    if row.state.reason is not None:
        typer.echo(f"    {row.state.reason.code}: {row.state.reason.message}")
    for note in row.state.notes:
        typer.echo(f"    note: {note}")
    for warning in row.state.warnings:
        of = f" (model {warning.model})" if warning.model else ""
        typer.echo(f"    warning: {warning.code}{of}: {warning.message}")
    for name, delivery in revision.deliveries().items():
        typer.echo(f"    {name}: {delivery.state}, {_counted(delivery.attempts, 'attempt')} {delivery.reason}")


def _audit(settings: NodeSettings, action: Literal["R", "U", "D"], kept: Transfer) -> None:
    """Say in the audit trail who looked at a study (R), had it run again (U), or deleted it (D)."""
    settings.audit_trail().handled(_user(), action, kept)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"
