"""``service.yaml``: the ports of the inference service, the folders that it may use, and its models."""

import ipaddress
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from core.errors import ConfigInvalid
from core.frozen import Frozen
from core.model_config import ModelName
from core.project_files import shown
from core.yaml_problems import problem_at
from runtime.setting_types import DATABASE_URL, LocalPath, Name, Port, beside_the_file
from runtime.settings_file import load_settings_file
from runtime.worker_settings import ExecutorName, Workers, this_host
from services.images.limits import Limits
from services.images.shared_paths import Root
from services.tasks import check_alias, check_apart

EXAMPLE = shown("manifests/service.example.yaml")
ENVIRONMENT = "SEGNODE_SERVICE__"
"""Prefix of the variables that give keys in place of the file."""


def _absolute(value: PurePosixPath) -> PurePosixPath:
    if not value.is_absolute() or ".." in value.parts or value == PurePosixPath("/"):
        raise ValueError("an absolute path, not the root of everything")
    return value


View = Annotated[PurePosixPath, AfterValidator(_absolute)]


class RootSettings(Frozen):
    """One folder of the shared volume."""

    path: LocalPath = Field(description="where this service sees it")
    seen_as: tuple[View, ...] = Field(default=(), description="where callers see it, if elsewhere")

    @property
    def views(self) -> tuple[PurePosixPath, ...]:
        """Return all beginnings of an absolute path to it."""
        return (PurePosixPath(self.path), *self.seen_as)

    @property
    def root(self) -> Root:
        """Convert the settings to a root of the handlers."""
        return Root(self.path, self.seen_as)


class Tls(Frozen):
    """Files of an encrypted port."""

    certificate: LocalPath
    key: LocalPath
    ca: LocalPath | None = Field(default=None, description="callers must show a certificate that it signed")


def _without_brackets(host: str) -> str:
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


class Listening(Frozen):
    """One port."""

    host: Annotated[str, AfterValidator(_without_brackets)] = Field(
        default="127.0.0.1", min_length=1, description="a name or an address; of IPv6 with brackets or without"
    )
    port: Port
    tls: Tls | None = None
    tokens_in_plaintext: bool = Field(
        default=False, description="let tokens come unencrypted from other machines: what stands before it has the TLS"
    )

    @property
    def address(self) -> str:
        """Return host and port in one text."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Tell whether only programs of this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def refused(self, key: str) -> ConfigInvalid:
        """Explain that the system refuses to listen on this port; ``key`` is its key in the settings."""
        why = "another program uses the port (see ss -ltnp), it is below 1024, or the host is not of this machine"
        return ConfigInvalid(f"{key}: cannot listen on {self.address}: {why}; change {key}.port or {key}.host")


class Queue(Frozen):
    """Limits of the queue."""

    longest: int = Field(default=64, ge=1, le=10_000, description="waiting jobs; further calls are refused for now")
    retry_after_seconds: int = Field(default=5, ge=1, le=3600)
    keep_days: float = Field(default=7.0, gt=0, le=36_500, description="time for which a job's result can be read")


class ServiceSettings(Frozen):
    """The whole of ``service.yaml``; paths are absolute."""

    roots: dict[Name, RootSettings] = Field(min_length=1)
    work: LocalPath = Field(description="jobs, aliases and locks; several instances share it, and the database")
    database: str = Field(default="service.sqlite", min_length=1)
    models: LocalPath | None = None
    aliases: dict[str, ModelName] = Field(default={}, description="until changed by: segnode aliases set")
    grpc: Listening | None = None
    rest: Listening | None = None
    tokens_file: LocalPath | None = Field(default=None, description="a line for each token that callers may show")
    queue: Queue = Queue()
    limits: Limits = Limits()
    workers: Workers = Field(default=(None,), description="how many worker processes, or the device of each")
    executor: ExecutorName = Field(default_factory=this_host)
    lease_seconds: float = Field(default=30.0, ge=2, le=3600)
    logs: Literal["text", "json"] = "text"

    @model_validator(mode="before")
    @classmethod
    def _database_is_a_url(cls, content: Any, info: ValidationInfo) -> Any:
        if isinstance(content, dict):
            database = content.get("database", "service.sqlite")
            if isinstance(database, str) and not DATABASE_URL.match(database):
                if "://" in database:
                    raise problem_at(("database",), "the URL is neither sqlite nor postgresql")
                return {**content, "database": f"sqlite:///{beside_the_file(Path(database), info)}"}
        return content

    @field_validator("roots")
    @classmethod
    def _roots_are_apart(cls, roots: dict[str, RootSettings]) -> dict[str, RootSettings]:
        for name, root in roots.items():
            for other, another in roots.items():
                if name != other and root.path.is_relative_to(another.path):
                    raise problem_at(("roots", name), f"it lies inside of {other}")
                for view, seen in product(root.views, another.views):
                    # Of one path two meanings: the one that is taken might be another patient's.
                    if view.is_relative_to(seen) and (name != other or view != seen):
                        clash = f"{view} lies inside of {seen}, a view of {other}: one path would name two files"
                        raise problem_at(("roots", name, "seen_as"), clash)
        return roots

    @field_validator("aliases")
    @classmethod
    def _aliases_have_names(cls, aliases: dict[str, str]) -> dict[str, str]:
        for name in aliases:
            try:
                check_alias(name)
            except ValueError as error:
                raise problem_at(("aliases", name), str(error)) from error
        try:
            check_apart(aliases)
        except ValueError as error:
            raise problem_at(("aliases",), str(error)) from error
        return aliases

    @model_validator(mode="after")
    def _somebody_is_let_in(self) -> "ServiceSettings":
        ports = {"grpc": self.grpc, "rest": self.rest}
        if not any(ports.values()):
            raise problem_at((), "no port is set; give grpc or rest")
        for name, port in ports.items():
            knows_callers = self.tokens_file is not None or (port is not None and port.tls and port.tls.ca)
            if port is not None and not port.is_local and not knows_callers:
                detail = "other machines must show a token or a certificate; set tokens_file or tls.ca"
                raise problem_at((name, "host"), detail)
            if port is None or port.is_local or port.tls is not None or port.tokens_in_plaintext:
                continue
            if self.tokens_file is not None:
                remedy = "set tls; or, behind a load balancer with TLS, tokens_in_plaintext: true"
                raise problem_at((name, "tls"), f"a token sent unencrypted can be stolen: {remedy}")
        return self


def load_service_settings(path: Path) -> ServiceSettings:
    """Read and validate a ``service.yaml``, with the keys that the environment gives in its place.

    Raises
    ------
    ConfigInvalid
        If the file or a variable is invalid; the text has file and line, or the variable, key and remedy of every
        problem.
    """
    return load_settings_file(path, ServiceSettings, EXAMPLE, ENVIRONMENT)
