"""The audit trail's settings in ``node.yaml``, and the trail that follows from them."""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from app.settings.destination import ClientTls
from core.frozen import Frozen
from dicom_io.audit.sinks import DEFAULT_PORTS, LOCAL, AuditFile, AuditSink, AuditSyslog
from dicom_io.audit.trail import AuditTrail
from dicom_io.tls import TlsFiles


class Syslog(Frozen):
    """An audit repository that takes messages by syslog (RFC 5424)."""

    url: str = Field(description="syslog://host:514 (UDP), syslog+tls://host:6514, or syslog+unix:///dev/log")
    tls: ClientTls | None = Field(default=None, description="certificates for syslog+tls")

    @field_validator("url")
    @classmethod
    def _is_syslog(cls, value: str) -> str:
        parts = urlsplit(value)
        named = bool(parts.path) if parts.scheme == LOCAL else bool(parts.hostname) and parts.path in ("", "/")
        if parts.scheme not in (*DEFAULT_PORTS, LOCAL) or not named:
            raise ValueError("syslog://host:514 (UDP), syslog+tls://host:6514, or syslog+unix:///dev/log")
        return value

    @model_validator(mode="after")
    def _certificates_are_for_tls(self) -> "Syslog":
        if self.tls is not None and urlsplit(self.url).scheme != "syslog+tls":
            raise ValueError("certificates go with syslog+tls://")
        return self


def audit_trail(file: Path | None, syslog: Syslog | None, node: str) -> AuditTrail:
    """Build the node's audit trail.

    Parameters
    ----------
    file, syslog
        Where messages go; both, one or neither.
    node
        AE title of the node.
    """
    sinks: list[AuditSink] = [] if file is None else [AuditFile(file)]
    if syslog is not None:
        tls = syslog.tls or ClientTls()
        sinks.append(AuditSyslog(syslog.url, TlsFiles(tls.ca, tls.certificate, tls.key, tls.verify_host)))
    return AuditTrail(sinks, node)
