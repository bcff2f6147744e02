"""How calls reach the service: who is told the token, how long they wait, and which of them are made again."""

import ipaddress
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from segnode_client.errors import CallEnded, TryLater, Unreachable, failure_of

FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 5.0
_OPTIONS: Final = (
    ("grpc.initial_reconnect_backoff_ms", 250),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # A service whose machine is gone is noticed though a call waits for an hour.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),  # 0: any number
)
_SCHEME: Final = re.compile(r"^(dns:(//[^/]*/)?|ipv4:|ipv6:)")


@dataclass(frozen=True)
class Tls:
    """Files for an encrypted connection.

    Attributes
    ----------
    ca
        Who may have signed the service's certificate; None: whom gRPC trusts by itself.
    certificate, key
        What this program shows, where the service asks for it.

    Raises
    ------
    ValueError
        If there is one of certificate and key without the other.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        """See that the files belong together."""
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a certificate is shown with its key: give both, or neither")

    def credentials(self) -> grpc.ChannelCredentials:
        """The same for gRPC.

        Raises
        ------
        OSError
            If a file cannot be read.
        """
        ca, key, certificate = (
            path.read_bytes() if path is not None else None for path in (self.ca, self.key, self.certificate)
        )
        return grpc.ssl_channel_credentials(ca, key, certificate)


@dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds.

    Attributes
    ----------
    timeout_s
        A call, with all its tries.
    connect_timeout_s
        Until the service is reached for the first time.
    patience_s
        How long a service is asked again that was reached before and then went away, or whose queue is full.
    """

    timeout_s: float
    connect_timeout_s: float
    patience_s: float


class Connection:
    """One channel to the service, for any number of threads.

    Parameters
    ----------
    address
        ``host:port``, or another of gRPC's names.
    tls
        None: not encrypted.
    token
        Shown with every call.
    plaintext_token
        Whether it may be shown to another machine without encryption.
    limits
        How long things may take.

    Raises
    ------
    ValueError
        If the token would travel unencrypted.
    """

    def __init__(
        self, address: str, tls: Tls | None, token: str | None, *, plaintext_token: bool, limits: Limits
    ) -> None:
        if token is not None and tls is None and not plaintext_token and not is_loopback(address):
            raise ValueError(
                f"{address}: whoever listens on the way could use the token, since the connection is not encrypted; "
                "give tls, or plaintext_token if something else encrypts it"
            )
        self.address = address
        self.limits = limits
        self.was_reached = False
        options = [*_OPTIONS, ("grpc.min_reconnect_backoff_ms", int(1000 * limits.connect_timeout_s))]
        if tls is None:
            self.channel = grpc.insecure_channel(address, options)
        else:
            self.channel = grpc.secure_channel(address, tls.credentials(), options)
        self._metadata = [("authorization", f"Bearer {token}")] if token is not None else []

    def call(self, rpc: Callable[..., Any], message: Any, *, key: str | None = None, longest_s: float = 1e9) -> Any:
        """Make a call, again where the service was away.

        Parameters
        ----------
        rpc, message
            What to call, and with what.
        key
            Names the wish behind the call: by it the service knows a call that comes again.
        longest_s
            How long the call takes at most.

        Raises
        ------
        CallFailed
            As the service or gRPC says.
        """
        tries = _Tries(self, longest_s)
        while True:
            try:
                answer = rpc(message, timeout=tries.begin(), metadata=self._shown(key))
            except grpc.RpcError as error:
                tries.pause_after(error)
            else:
                self.was_reached = True
                return answer

    def stream(self, rpc: Callable[..., Any], message: Any, *, key: str) -> Iterator[Any]:
        """Make a call that answers several times; a service that comes back goes on where it was.

        Raises
        ------
        CallFailed
            As the service or gRPC says.
        """
        tries = _Tries(self, 1e9)
        while True:
            call = rpc(message, timeout=tries.begin(), metadata=self._shown(key))
            try:
                for answer in call:
                    self.was_reached = True
                    tries.forget()
                    yield answer
            except grpc.RpcError as error:
                tries.pause_after(error)
            else:
                return
            finally:
                call.cancel()

    def _shown(self, key: str | None) -> list[tuple[str, str]]:
        return [*self._metadata, *([("idempotency-key", key)] if key is not None else [])]


class _Tries:
    """How often one call is made."""

    def __init__(self, connection: Connection, longest_s: float) -> None:
        self._connection = connection
        self._timeout_s = min(connection.limits.timeout_s, longest_s)
        self._tried_at = time.monotonic()
        self._ends_at = self._tried_at + self._timeout_s
        self.forget()

    def begin(self) -> float:
        """Begin a try; gives the seconds that are left for it."""
        self._tried_at = time.monotonic()
        return max(0.0, self._ends_at - self._tried_at)

    def forget(self) -> None:
        """Be as patient as at first: the service is there."""
        self._failing_since: float | None = None
        self._pause_s = FIRST_PAUSE_S

    def pause_after(self, error: grpc.RpcError) -> None:
        """Wait for the next try, or raise what the call has ended with."""
        connection, limits = self._connection, self._connection.limits
        failure = failure_of(error, connection.address)
        connection.was_reached |= not isinstance(failure, Unreachable)
        now = time.monotonic()
        if isinstance(failure, CallEnded) and now >= self._ends_at:  # which of the two ends says it first is chance
            raise CallEnded("deadline_exceeded", f"It was not done in {self._timeout_s:g} s.", retry=True) from error
        if not connection.was_reached:
            patience_s, begun = limits.connect_timeout_s, self._tried_at
        else:
            patience_s, begun = limits.patience_s, now
            if now - self._tried_at > patience_s:  # it was there for long, and has gone away just now
                self.forget()
        self._failing_since = begun if self._failing_since is None else self._failing_since
        pause_s = max(failure.retry_after_s, self._pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
        if not isinstance(failure, TryLater) or now + pause_s > min(self._failing_since + patience_s, self._ends_at):
            raise failure from error
        time.sleep(pause_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)


def is_loopback(address: str) -> bool:
    """Whether what is sent to a gRPC address stays on this machine."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    name = _SCHEME.sub("", address)
    host = name[1:].split("]", 1)[0] if name.startswith("[") else name.rsplit(":", 1)[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
