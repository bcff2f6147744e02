"""``node.yaml``: what one node listens to, runs and sends, validated and frozen.

The settings are read once, by the process that needs them, and handed on; nothing reads them from a global.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from app.settings.audit import Syslog, audit_trail
from app.settings.destination import Destination, DicomDestination
from app.settings.reception import Peer, Reception, TlsListening, allowed_peers
from app.settings.route import Route
from core.frozen import Frozen
from core.project_files import shown
from core.yaml_problems import problem_at
from dicom_io.audit.trail import AuditTrail
from dicom_io.reception.access_control import AllowedPeer
from dicom_io.reception.limits import Limits
from runtime.setting_types import DATABASE_URL, AETitle, LocalPath, Name, Port, beside_the_file
from runtime.settings_file import load_settings_file
from runtime.worker_settings import ExecutorName, Work, Workers, this_host

EXAMPLE = shown("manifests/node.example.yaml")
ENVIRONMENT = "SEGNODE_NODE__"
"""Prefix of the variables that give keys in place of the file."""


class Http(Frozen):
    """The address of the node's status pages; there is no access control, so another host belongs behind a proxy."""

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
    work: Work = Work()
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
    audit_syslog: Syslog | None = Field(default=None, description="an audit repository that gets the trail too")

    @model_validator(mode="before")
    @classmethod
    def _database_is_a_url(cls, content: Any, info: ValidationInfo) -> Any:
        if isinstance(content, dict):
            database = content.get("database", "workflow.sqlite")
            if isinstance(database, str) and not DATABASE_URL.match(database):
                if "://" in database:
                    raise problem_at(("database",), "the URL is neither sqlite nor postgresql")
                return {**content, "database": f"sqlite:///{beside_the_file(Path(database), info)}"}
        return content

    @model_validator(mode="after")
    def _destinations_exist(self) -> "NodeSettings":
        for number, route in enumerate(self.routes):
            for position, name in enumerate(route.destinations):
                if name not in self.destinations:
                    known = ", ".join(sorted(self.destinations))
                    at = ("routes", number, "destinations", position)
                    raise problem_at(at, f"{name} is not below destinations: {known}")
            archive = route.complete_when.counted_by
            if archive is not None and not isinstance(self.destinations.get(archive), DicomDestination):
                where = ("routes", number, "complete_when", "counted_by")
                raise problem_at(where, f"{archive} is not below destinations with kind: dicom")
        return self

    @field_validator("peers", mode="before")
    @classmethod
    def _any_is_no_list(cls, value: Any) -> Any:
        # An empty key does not mean to let everybody in.
        return () if value is None else None if value == "any" else value

    @model_validator(mode="after")
    def _certificates_have_their_peer(self) -> "NodeSettings":
        for number, peer in enumerate(self.peers or ()):
            if self.tls is not None and peer.certificate is None:
                raise problem_at(("peers", number), "with tls each peer needs its certificate's name or fingerprint")
            if self.tls is None and peer.certificate is not None:
                raise problem_at(("peers", number, "certificate"), "without tls nobody shows a certificate")
        return self

    @model_validator(mode="after")
    def _somebody_may_send(self) -> "NodeSettings":
        if self.allowed_peers == ():
            raise problem_at(("destinations",), "none has an AE title, so nobody may send; list senders under peers")
        return self

    @property
    def allowed_peers(self) -> tuple[AllowedPeer, ...] | None:
        """Return the peers that may send; None where anybody may."""
        if self.peers is None:
            return None
        return allowed_peers(
            self.peers, [one for one in self.destinations.values() if isinstance(one, DicomDestination)]
        )

    def audit_trail(self) -> AuditTrail:
        """Build the node's audit trail for one of its processes."""
        return audit_trail(self.audit_file, self.audit_syslog, self.ae_title)

    @property
    def called_aes(self) -> frozenset[str]:
        """Every AE title that the node answers to."""
        return frozenset({self.ae_title, *(route.called_ae for route in self.routes)})

    def executor_id(self, slot: int) -> str:
        """Return a worker process's executor ID, counted from 1: the same after every restart, and nobody else's."""
        return f"{self.executor}-{slot}"


def load_settings(path: Path) -> NodeSettings:
    """Read and validate a ``node.yaml``, with the keys that the environment gives in its place.

    Raises
    ------
    ConfigInvalid
        With file and line, or the variable, key and remedy of every problem.
    """
    return load_settings_file(path, NodeSettings, EXAMPLE, ENVIRONMENT)
