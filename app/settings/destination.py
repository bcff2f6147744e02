"""A destination's settings in ``node.yaml``: its address, how long to try, and how the node authenticates itself."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from core.backoff import Backoff
from core.frozen import Frozen
from core.result_forms import DEFAULT, Outputs
from runtime.setting_types import AETitle, LocalPath, Port

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Retry(Frozen):
    """The retry schedule for a destination that is down; each wait is twice the one before, up to the longest."""

    first_seconds: float = Field(default=2.0, gt=0)
    longest_seconds: float = Field(default=3600.0, gt=0)
    give_up_after_hours: float = Field(default=72.0, gt=0)

    def wait_s(self, attempt: int) -> float:
        """Seconds to wait after the given attempt, counted from 0, could not be finished."""
        return Backoff(self.first_seconds, self.longest_seconds).wait_s(attempt)

    def is_last(self, attempt: int, elapsed_s: float | None = None) -> bool:
        """Return whether this attempt, counted from 0, is the last within ``give_up_after_hours``.

        Parameters
        ----------
        elapsed_s
            Time since the first of them, by the clock. Both this and the waits as planned have to add up to more: a
            wait may be ended early, and a clock may jump. None, or less than 0, where the clock does not tell.
        """
        limit_s = self.give_up_after_hours * 3600.0
        if sum(self.wait_s(earlier) for earlier in range(attempt + 1)) <= limit_s:
            return False
        return elapsed_s is None or elapsed_s < 0.0 or elapsed_s > limit_s


class ClientTls(Frozen):
    """Certificates for a connection that this node opens; TLS 1.2 or 1.3."""

    ca: LocalPath | None = Field(default=None, description="who may have signed the peer's; left out: the system's")
    certificate: LocalPath | None = Field(default=None, description="this node's own, where the peer asks for one")
    key: LocalPath | None = None
    verify_host: bool = Field(default=True, description="whether the peer's certificate must name its host")

    @model_validator(mode="after")
    def _both_or_neither(self) -> "ClientTls":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self


class Commitment(Frozen):
    """Ask the peer to confirm in writing that it keeps what it was sent (storage commitment)."""

    deadline_seconds: float = Field(default=3600.0, gt=0, le=14 * 24 * 3600, description="how long its report may take")


class DicomDestination(Frozen):
    """A storage SCP that results are sent to by C-STORE."""

    kind: Literal["dicom"]
    ae_title: AETitle
    host: str = Field(min_length=1)
    port: Port
    outputs: Outputs = Field(default=DEFAULT, description="forms of each result that it gets")
    tls: ClientTls | None = None
    commitment: Commitment | None = None
    retry: Retry = Retry()


class WebDestination(Frozen):
    """A DICOMweb server that results are sent to by STOW-RS."""

    kind: Literal["dicomweb"]
    url: str = Field(min_length=1)
    outputs: Outputs = Field(default=DEFAULT, description="forms of each result that it gets")
    tls: ClientTls = ClientTls()
    token_file: LocalPath | None = Field(
        default=None, description="read anew for each object, so that it can be renewed"
    )
    token_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    retry: Retry = Retry()

    @field_validator("url")
    @classmethod
    def _is_a_base_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("the address of the service, without /studies, as in https://pacs.example/dicom-web")
        if parts.username or parts.password:
            raise ValueError("no password in the address; name a token_file")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _tokens_are_kept(self) -> "WebDestination":
        if self.token_file is not None and self.token_env is not None:
            raise ValueError("either token_file or token_env")
        parts = urlsplit(self.url)
        has_token = self.token_file is not None or self.token_env is not None
        if has_token and parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ValueError("a token is sent over https only")
        return self


Destination = Annotated[DicomDestination | WebDestination, Field(discriminator="kind")]
