"""``segnode api``, ``segnode aliases`` and ``segnode call``."""

import dataclasses
import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import AsJson
from core.errors import ConfigInvalid, RetryLater, SegnodeError, StudyRejected

if TYPE_CHECKING:
    from segnode_client import CallFailed

aliases = typer.Typer(
    help="Say which model package stands behind a task, or another name, of the service.", no_args_is_help=True
)

Config = Annotated[Path, typer.Option("--config", "-c", help="The service's settings, a service.yaml.")]
AliasName = Annotated[
    str, typer.Argument(metavar="ALIAS", help="A task (totalseg, vessel, ureter, tumor), or a name of your own.")
]


def api(config: Config) -> None:
    """Run the inference service: gRPC and REST, on a queue of jobs that survives restarts.

    \b
    Prints "ready grpc=HOST:PORT rest=HOST:PORT" once it takes work. Ends on SIGTERM or Ctrl-C.
    Exit codes: 0 stopped, 2 the settings are wrong or a port is taken, 4 a model package is invalid.

    \b
    Example:
      segnode api --config manifests/service.example.yaml
    """
    from runtime.logs import configure_logging
    from services.processes import run_service

    _require("grpc", "fastapi")

    os.umask(0o022)
    configure_logging("api")
    run_service(config.absolute())


@aliases.command("list")
def list_aliases(config: Config, as_json: AsJson = False) -> None:
    """Show what stands behind each task, and what did before."""
    known = _aliases(config).read()
    if as_json:
        typer.echo(json.dumps({task: alias.model_dump() for task, alias in known.items()}))
        return
    for task, alias in sorted(known.items()):
        typer.echo(f"{task:9} {alias.model}" + (f"  (before: {', '.join(alias.earlier)})" if alias.earlier else ""))


@aliases.command("set")
def set_alias(
    alias: AliasName, model: Annotated[str, typer.Argument(help="Name of a model package.")], config: Config
) -> None:
    """Have a package stand behind a task or a name of your own from the next job on, without a restart.

    \b
    Example:
      segnode aliases set tumor kidney-tumor-2026 --config service.yaml
    """
    now = _aliases(config).set(_alias(alias), model)
    typer.echo(f"{alias} is {now.model}" + (f", was {now.earlier[0]}" if now.earlier else ""))


@aliases.command("revert")
def revert_alias(alias: AliasName, config: Config) -> None:
    """Have the package stand there again that did before."""
    now = _aliases(config).revert(_alias(alias))
    typer.echo(f"{alias} is {now.model} again")


def call(
    task: Annotated[str, typer.Argument(help="totalseg, vessel, ureter, tumor, batch, smooth, postprocess, or alias.")],
    fields: Annotated[list[str], typer.Argument(metavar="FIELD=VALUE...", help="The request's fields.")],
    address: Annotated[str, typer.Option(help="Of the service's gRPC port.")] = "127.0.0.1:50051",
    token_file: Annotated[Path | None, typer.Option(help="A file with the token to show.")] = None,
    ca: Annotated[Path | None, typer.Option(help="Use TLS; who signed the service's certificate.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="To show to the service, with --key.")] = None,
    key: Annotated[Path | None, typer.Option(help="Of the certificate.")] = None,
    plaintext_token: Annotated[
        bool, typer.Option("--plaintext-token", help="Show the token to another machine without TLS.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that the work may take.")] = 3600.0,
) -> None:
    """Call a running service, and print its answer as JSON.

    \b
    Values that are JSON are taken as such. To end this command ends the work.
    Exit codes: 0 done, 2 usage, 3 refused, 5 nobody answers or try again later, 1 anything else.

    \b
    Examples:
      segnode call totalseg image_path=/mnt/cases/0001/image.nii.gz
      segnode call vessel image_A_path=/mnt/cases/0001/A.nii.gz image_P_path=/mnt/cases/0001/P.nii.gz
      segnode call alias alias=liver image_path=/mnt/cases/0001/image.nii.gz
      segnode call smooth mask_path=/mnt/cases/0001/mask/total.nii.gz strength=1.5 'labels=["liver"]'
    """
    from rich.progress import Progress

    _require("grpc")
    from segnode_client import CallFailed, Client, Tls

    request = dict(_field(text) for text in fields)
    try:
        tls = Tls(ca, certificate, key) if (ca, certificate, key) != (None, None, None) else None
        token = token_file.read_text(encoding="utf-8").strip() if token_file is not None else None
        with (
            Client(address, tls=tls, token=token, plaintext_token=plaintext_token, timeout_s=timeout) as client,
            Progress(transient=True) as bar,
        ):
            shown = bar.add_task(task, total=1.0)
            for job in client.run(task, **request):
                bar.update(shown, completed=job.progress)
        if job.failure is not None:
            raise job.failure
    except CallFailed as failure:
        raise _error(failure) from failure
    except (ValueError, OSError) as error:
        raise ConfigInvalid(str(error)) from error
    typer.echo(json.dumps({name: dataclasses.asdict(mask) for name, mask in job.masks.items()}, indent=2))


def _require(*packages: str) -> None:
    if any(find_spec(package) is None for package in packages):
        raise ConfigInvalid("the service's packages are not installed; see: pip install 'segnode[service]'")


def _error(failure: "CallFailed") -> SegnodeError:
    from segnode_client import RequestRefused, TryLater

    if isinstance(failure, TryLater):
        return RetryLater(str(failure))
    return _Refused(str(failure)) if isinstance(failure, RequestRefused) else SegnodeError(str(failure))


class _Refused(SegnodeError):
    exit_code = StudyRejected.exit_code


def _field(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        raise ConfigInvalid(f"{text}: a field is given as FIELD=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _aliases(config: Path) -> Any:
    from services.aliases import Aliases
    from services.settings import load_service_settings

    return Aliases(load_service_settings(config))


def _alias(name: str) -> str:
    from services.tasks import check_alias

    try:
        return check_alias(name)
    except ValueError as error:
        raise ConfigInvalid(f"{name}: {error}") from error
