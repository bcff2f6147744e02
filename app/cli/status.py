"""``segnode status``."""

import json

import typer

from app.cli.options import AsJson, Config
from app.node.spool_access import spool_to_read
from app.node.status import NodeStatus, look
from app.settings.node import load_settings
from core.errors import ConfigInvalid

NOT_READY = 6
"""Exit code where no node serves the spool, or one of its processes does not take work."""


def status(config: Config, as_json: AsJson = False) -> None:
    """Say how a node is: its processes, its studies by state, its queue and its disk.

    \b
    Exit codes: 0 it takes work, 6 it does not (or not yet), 2 the settings are wrong.
    """
    settings = load_settings(config)
    spool = spool_to_read(settings.spool)
    try:
        overview = look(spool, settings.reception.kept_free)
    except OSError as error:
        raise ConfigInvalid(f"spool {spool.root}: {error.strerror}; has this node ever been started?") from error
    typer.echo(json.dumps(_content(overview)) if as_json else _text(overview))
    if not overview.is_ready:
        raise typer.Exit(NOT_READY)


def _content(overview: NodeStatus) -> dict[str, object]:
    return {
        "running": overview.is_running,
        "ready": overview.is_ready,
        "processes": dict(overview.processes),
        "studies": dict(overview.studies),
        "unconfirmed": overview.unconfirmed,
        "damaged": dict(overview.damaged),
        "warnings": dict(overview.warnings),
        "model_warnings": [warning.to_json() for warning in overview.model_warnings],
        "queue_depth": overview.queue_depth,
        "oldest_waiting_s": round(overview.oldest_waiting_s),
        "deliveries_pending": dict(overview.deliveries),
        "free_bytes": overview.free_bytes,
        "disk_problem": overview.disk_problem,
    }


def _text(overview: NodeStatus) -> str:
    state = "ready" if overview.is_ready else "not ready" if overview.is_running else "not running"
    lines = [f"node: {state}"]
    lines += [f"  {name}: {'ready' if ready else 'not ready'}" for name, ready in overview.processes.items()]
    studies = ", ".join(f"{number} {state}" for state, number in overview.studies.items() if number)
    lines.append(f"studies: {studies or 'none'}")
    lines += [f"  {overview.unconfirmed} of them unconfirmed"] if overview.unconfirmed else []
    lines += [f"  {key}: damaged, {problem}" for key, problem in overview.damaged.items()]
    lines += [f"  {number} with the warning {code}" for code, number in overview.warnings.items()]
    lines += [f"model {warning.model}: {warning.code}: {warning.message}" for warning in overview.model_warnings]
    lines.append(f"queue: {overview.queue_depth}, the oldest for {overview.oldest_waiting_s:.0f} s")
    lines += [f"  {name}: {number} to deliver" for name, number in overview.deliveries.items() if number]
    lines.append(f"free disk: {overview.free_bytes / 2**30:.1f} GiB")
    lines += [f"  {overview.disk_problem}, so every image is refused"] if overview.disk_problem else []
    return "\n".join(lines)
