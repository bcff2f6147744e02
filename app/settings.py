"""``node.yaml``: what one node listens to, runs and sends, validated and frozen.

The settings are read once, by the process that needs them, and handed on; nothing reads them from a global.
"""

import difflib
import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from app.destination_settings import KINDS, ClientTls, Commitment, Destination, DicomDestination, Retry, WebDestination
from app.machine_settings import ExecutorName, Workers, this_host
from app.reception_settings import KeepFree, Peer, Reception, TlsListening, allowed_peers
from app.setting_types import AETitle, Frozen, LocalPath, Name, Port, beside_the_file
from core.errors import ConfigInvalid
from core.model_manifest import ModelName
from core.yaml_text import Pattern, line_of
from dicom_io.reception.access import AllowedPeer
from dicom_io.reception.limits import Limits

EXAMPLE = "manifests/node.example.yaml"
DATABASE_URL = re.compile(r"^(postgresql|sqlite)(\+\w+)?://")


NoticeKind = Literal["refused", "nothing_found", "failed"]


class Rules(Frozen):
    """Which studies a route takes; each condition given must hold, and one series must fit all that are about series.

    Patterns are regular expressions, searched, ignoring case.
    """

    modality: tuple[str, ...] = ()
    body_part: tuple[Pattern, ...] = Field(default=(), description="any of; a series without one fits")
    study_description: tuple[Pattern, ...] = ()
    series_description: tuple[Pattern, ...] = ()


class Route(Frozen):
    """What happens to studies that are sent to one called AE title."""

    called_ae: AETitle
    rules: Rules = Rules()
    models: tuple[ModelName, ...] = Field(min_length=1)
    destinations: tuple[Name, ...] = Field(min_length=1)
    notices: frozenset[NoticeKind] = Field(
        default=frozenset(), description="of which ends the destinations get a picture that says so"
    )


class Http(Frozen):
    """Where the node says how it is; there is no access control, so another host belongs behind a proxy."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: Port


class NodeSettings(Frozen):
    """The whole of ``node.yaml``; paths are absolute."""

    ae_title: AETitle
    host: str = Field(min_length=1)
    port: Port
    spool: LocalPath
    database: str = Field(default="workflow.sqlite", min_length=1)
    models: LocalPath | None = None
    quiet_seconds: float = Field(default=60.0, gt=0)
    workers: Workers = Field(default=(None,), description="how many worker processes, or the device of each")
    executor: ExecutorName = Field(
        default_factory=this_host, description="this machine's name among those that share spool and database"
    )
    lease_seconds: float = Field(
        default=30.0, ge=2, le=3600, description="how long a worker that is not heard of keeps its work"
    )
    routes: tuple[Route, ...] = Field(min_length=1)
    destinations: dict[Name, Destination] = Field(min_length=1)
    peers: tuple[Peer, ...] | None = Field(
        default=(), description="who may send, or any (None); left out: the destinations' AE titles, from any address"
    )
    tls: TlsListening | None = None
    reception: Reception = Reception()
    limits: Limits = Limits()
    http: Http | None = Field(default=None, description="/healthz, /readyz and /metrics; left out: nowhere")
    logs: Literal["text", "json"] = "text"
    audit_file: LocalPath | None = Field(default=None, description="the audit trail, which names patients")

    @model_validator(mode="before")
    @classmethod
    def _database_is_a_url(cls, content: Any, info: ValidationInfo) -> Any:
        if isinstance(content, dict):
            database = content.get("database", "workflow.sqlite")
            if isinstance(database, str) and not DATABASE_URL.match(database):
                if "://" in database:
                    raise _problem_at(("database",), "the URL is neither sqlite nor postgresql")
                return {**content, "database": f"sqlite:///{beside_the_file(Path(database), info)}"}
        return content

    @model_validator(mode="after")
    def _destinations_exist(self) -> "NodeSettings":
        for number, route in enumerate(self.routes):
            for position, name in enumerate(route.destinations):
                if name not in self.destinations:
                    known = ", ".join(sorted(self.destinations))
                    at = ("routes", number, "destinations", position)
                    raise _problem_at(at, f"{name} is not below destinations: {known}")
        return self

    @field_validator("peers", mode="before")
    @classmethod
    def _any_is_no_list(cls, value: Any) -> Any:
        # An empty key is no wish to let everybody in.
        return () if value is None else None if value == "any" else value

    @model_validator(mode="after")
    def _certificates_have_their_peer(self) -> "NodeSettings":
        for number, peer in enumerate(self.peers or ()):
            if self.tls is not None and peer.certificate is None:
                raise _problem_at(("peers", number), "with tls each peer needs its certificate's name or fingerprint")
            if self.tls is None and peer.certificate is not None:
                raise _problem_at(("peers", number, "certificate"), "without tls nobody shows a certificate")
        return self

    @property
    def allowed_peers(self) -> tuple[AllowedPeer, ...] | None:
        """Who may send; None where anybody may."""
        if self.peers is None:
            return None
        return allowed_peers(
            self.peers, [one for one in self.destinations.values() if isinstance(one, DicomDestination)]
        )

    @property
    def called_aes(self) -> frozenset[str]:
        """Every AE title that the node answers to."""
        return frozenset({self.ae_title, *(route.called_ae for route in self.routes)})

    def executor_id(self, slot: int) -> str:
        """Who does the work of a worker process, counted from 1: the same after every restart, and nobody else's."""
        return f"{self.executor}-{slot}"


_MODELS: tuple[type[BaseModel], ...] = (
    NodeSettings,
    Route,
    Rules,
    Http,
    DicomDestination,
    WebDestination,
    ClientTls,
    Commitment,
    Retry,
    Peer,
    TlsListening,
    Reception,
    KeepFree,
    Limits,
)


def load_settings(path: Path) -> NodeSettings:
    """Read and validate a ``node.yaml``.

    Raises
    ------
    ConfigInvalid
        With file, line, key and remedy of every problem.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except OSError as error:
        raise ConfigInvalid(f"{path}: {error.strerror}; give a file like {EXAMPLE}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigInvalid(f"{path}: not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigInvalid(f"{path}:1: no settings in the file; start from {EXAMPLE}")
    try:
        return NodeSettings.model_validate(content, context={"folder": path.absolute().parent})
    except ValidationError as error:
        raise ConfigInvalid("\n".join(_describe(path, text, problem) for problem in error.errors())) from error


def _problem_at(location: tuple[int | str, ...], message: str) -> PydanticCustomError:
    # A check of several keys has no location of its own in pydantic.
    return PydanticCustomError("reference", "{message}", {"message": message, "at": location})


def _describe(path: Path, text: str, problem: ErrorDetails) -> str:
    at = problem.get("ctx", {}).get("at", problem["loc"])
    location = tuple(part for part in at if part != "[key]")
    if location[:1] == ("destinations",):
        # pydantic puts the kind between a destination's name and its keys, and has no key where the kind is wrong.
        location = location[:2] + tuple(part for part in location[2:] if part not in KINDS)
        location += ("kind",) if problem["type"].startswith("union_tag") else ()
    key = ".".join(map(str, location)) or "(whole file)"
    return f"{path}:{line_of(text, location)}: {key}: {problem['msg']}; {_remedy(problem)}"


def _remedy(problem: ErrorDetails) -> str:
    if problem["type"] == "missing":
        return f"add it, see {EXAMPLE}"
    if problem["type"] == "extra_forbidden":
        key = str(problem["loc"][-1])
        keys = {name for model in _MODELS for name in model.model_fields} - {key}
        close = difflib.get_close_matches(key, sorted(keys), n=1)
        return f"did you mean {close[0]}?" if close else "remove it"
    return f"correct it, see {EXAMPLE}"
