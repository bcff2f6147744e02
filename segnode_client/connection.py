"""The way of calls to the service: the token's protection, timeouts and retries."""

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
        Authorities that may have signed the service's certificate; None: gRPC's own.
    certificate, key
        This program's own, for a service that requires one.

    Raises
    ------
    ValueError
        If certificate or key is given without the other.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        """Check that certificate and key are given together."""
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: give both, or neither")

    def credentials(self) -> grpc.ChannelCredentials:
        """Return gRPC's credentials from the files.

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
    """Time limits, in seconds.

    Attributes
    ----------
    timeout_s
        A call, with all its retries.
    connect_timeout_s
        Until the service is reached for the first time.
    patience_s
        Retries to a service that was reached before and is unreachable now, or whose queue is full.
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
        Files for encryption; None: not encrypted.
    token
        Sent with every call.
    plaintext_token
        Whether it may be sent to another machine without encryption.
    limits
        Time limits.

    Raises
    ------
    ValueError
        If the token would be sent unencrypted.
    """

    def __init__(
        self, address: str, tls: Tls | None, token: str | None, *, plaintext_token: bool, limits: Limits
    ) -> None:
        if token is not None and tls is None and not plaintext_token and not is_loopback(address):
            raise ValueError(
                f"{address}: the connection is not encrypted, so the token could be stolen; "
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
        """Make a call, and retry it if the service is unreachable.

        Parameters
        ----------
        rpc, message
            The call, and its request.
        key
            Idempotency key, by which the service recognizes a repeated call.
        longest_s
            Longest time of the call in seconds.

        Raises
        ------
        CallFailed
            The error of the service or of gRPC.
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
        """Make a call that answers several times; after an outage, a repeated call goes on where it was.

        Raises
        ------
        CallFailed
            The error of the service or of gRPC.
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
    """The attempts at one call."""

    def __init__(self, connection: Connection, longest_s: float) -> None:
        self._connection = connection
        self._timeout_s = min(connection.limits.timeout_s, longest_s)
        self._tried_at = time.monotonic()
        self._ends_at = self._tried_at + self._timeout_s
        self.forget()

    def begin(self) -> float:
        """Begin an attempt, and return the seconds that are left for it."""
        self._tried_at = time.monotonic()
        return max(0.0, self._ends_at - self._tried_at)

    def forget(self) -> None:
        """Reset the patience, since the service has answered."""
        self._failing_since: float | None = None
        self._pause_s = FIRST_PAUSE_S

    def pause_after(self, error: grpc.RpcError) -> None:
        """Wait for the next attempt, or raise the call's error."""
        connection, limits = self._connection, self._connection.limits
        failure = failure_of(error, connection.address)
        connection.was_reached |= not isinstance(failure, Unreachable)
        now = time.monotonic()
        if isinstance(failure, CallEnded) and now >= self._ends_at:  # which of the two ends says it first is chance
            raise CallEnded(
                "deadline_exceeded", f"The call was not done within {self._timeout_s:g} s.", retry=True
            ) from error
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
    """Tell whether data sent to a gRPC address stays on this machine."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    name = _SCHEME.sub("", address)
    host = name[1:].split("]", 1)[0] if name.startswith("[") else name.rsplit(":", 1)[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
