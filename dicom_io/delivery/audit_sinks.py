"""Where audit messages go: a file of its own, or an audit repository by syslog.

References
----------
PS3.15 A.6 (audit messages by syslog); RFC 5424 (the message), 5425 (over TLS), 5426 (over UDP).
"""

import os
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from dicom_io.delivery.tls import TlsFiles, client_context

DEFAULT_PORTS = {"syslog": 514, "syslog+tls": 6514}
LOCAL = "syslog+unix"
TIMEOUT_S = 5.0

_PRIORITY = 10 * 8 + 5
"""Facility security and authorization, severity notice."""

_BOM = b"\xef\xbb\xbf"


class AuditSink(Protocol):
    """Takes audit messages; any number of threads may write."""

    def write(self, message: bytes) -> None:
        """Keep one message, XML in UTF-8 on one line; an `OSError` means that it is lost here."""


class AuditFile:
    """A file that only the node's user can read, one message a line; processes can share it.

    Parameters
    ----------
    path
        Created with access for its owner alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, message: bytes) -> None:
        """Append a line by one system call."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, message + b"\n")
        finally:
            os.close(descriptor)


class AuditSyslog:
    """An audit repository.

    Parameters
    ----------
    url
        ``syslog://host:514`` (UDP), ``syslog+tls://host:6514``, or ``syslog+unix:///dev/log``.
    tls
        Certificates, for TLS.
    """

    def __init__(self, url: str, tls: TlsFiles) -> None:
        self._url = urlsplit(url)
        self._tls = tls
        self._connection: socket.socket | None = None
        self._lock = threading.Lock()

    def write(self, message: bytes) -> None:
        """Send it; a connection that has ended is opened again, once."""
        content = syslog_message(message)
        if self._url.scheme != "syslog+tls":
            with closing(_datagram_socket(self._url)) as connection:
                connection.send(content)
            return
        with self._lock:
            framed = b"%d " % len(content) + content
            if self._connection is not None and _is_sent(self._connection, framed):
                return
            self._connection = self._connect()
            self._connection.sendall(framed)

    def _connect(self) -> ssl.SSLSocket:
        host, port = _address(self._url)
        connection = socket.create_connection((host, port), timeout=TIMEOUT_S)
        try:
            return client_context(self._tls).wrap_socket(connection, server_hostname=host)
        except BaseException:
            connection.close()
            raise


def syslog_message(message: bytes) -> bytes:
    """A message with the header of RFC 5424, as PS3.15 A.6 asks for it."""
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    host = socket.gethostname().encode("ascii", "replace").decode() or "-"
    return f"<{_PRIORITY}>1 {stamp} {host} segnode {os.getpid()} DICOM+RFC3881 - ".encode() + _BOM + message


def _is_sent(connection: socket.socket, framed: bytes) -> bool:
    try:
        # A repository says nothing: what can be read is that it has closed the connection.
        if _has_ended(connection):
            raise ConnectionResetError
        connection.sendall(framed)
    except OSError:
        connection.close()
        return False
    return True


def _has_ended(connection: socket.socket) -> bool:
    connection.settimeout(0.0)
    try:
        return not connection.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    finally:
        connection.settimeout(TIMEOUT_S)


def _datagram_socket(url: SplitResult) -> socket.socket:
    if url.scheme == LOCAL:
        local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        return _connected(local, lambda: local.connect(url.path))
    family, kind, number, _, address = socket.getaddrinfo(*_address(url), type=socket.SOCK_DGRAM)[0]
    remote = socket.socket(family, kind, number)
    return _connected(remote, lambda: remote.connect(address))


def _connected(connection: socket.socket, connect: Callable[[], None]) -> socket.socket:
    connection.settimeout(TIMEOUT_S)
    try:
        connect()
    except OSError:
        connection.close()
        raise
    return connection


def _address(url: SplitResult) -> tuple[str, int]:
    return url.hostname or "", url.port or DEFAULT_PORTS[url.scheme]
