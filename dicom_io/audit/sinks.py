"""The destinations of audit messages: a file of their own, or an audit repository by syslog.

References
----------
PS3.15 A.6 (audit messages by syslog); RFC 5424 (the message), 5425 (over TLS), 5426 (over UDP).
"""

import errno
import os
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from core.errors import ConfigInvalid
from core.event_log import EventLog
from dicom_io.tls import TlsFiles, client_context

DEFAULT_PORTS = {"syslog": 514, "syslog+tls": 6514}
LOCAL = "syslog+unix"
TIMEOUT_S = 5.0

_PRIORITY = 10 * 8 + 5
"""Facility security and authorization, severity notice."""

_BOM = b"\xef\xbb\xbf"

MAX_WAITING = 1000
"""Messages that may wait for a repository; they wait in memory, so their number is bounded."""

SENDING = "audit"
"""The thread that sends."""

_log = EventLog()


class AuditSink(Protocol):
    """A destination of audit messages; any number of threads may write."""

    def write(self, message: bytes) -> None:
        """Keep one message, XML in UTF-8 on one line; an `OSError` means that this sink has lost it."""


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
            if os.write(descriptor, message + b"\n") <= len(message):
                raise OSError(errno.ENOSPC, "the disk took only a part of a message")
        finally:
            os.close(descriptor)


class AuditSyslog:
    """An audit repository; a thread talks to it, so that no caller waits for an unreachable one.

    The thread lives as long as messages wait, and the process ends only after it: what is written last, as a program
    ends, arrives too.

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
        self._waiting: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._is_sending = False

    def write(self, message: bytes) -> None:
        """Queue a message for the thread that sends."""
        content = syslog_message(message)
        with self._lock:
            if len(self._waiting) >= MAX_WAITING:
                raise OSError(errno.ENOBUFS, "too many messages wait for the audit repository; this one is lost")
            self._waiting.append(content)
            if self._is_sending:
                return
            self._is_sending = True
        try:
            # No daemon: the interpreter waits for it when it ends.
            threading.Thread(target=self._send_all, name=SENDING, daemon=False).start()
        except RuntimeError as error:
            with self._lock:
                self._is_sending = False
            raise OSError(errno.EAGAIN, "cannot start a thread for the audit repository") from error

    def _send_all(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._is_sending = False
                    return
                content = self._waiting.popleft()
            try:
                self._send(content)
            except (OSError, ValueError, ConfigInvalid) as error:  # an invalid host name is a ValueError
                # Each waiting message would wait as long again, and a process that ends would wait for all of them.
                with self._lock:
                    lost = 1 + len(self._waiting)
                    self._waiting.clear()
                problem = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
                _log.error("audit_not_written", problem=problem, lost=lost)

    def _send(self, content: bytes) -> None:
        """Send a message; a connection that has ended is opened again, once."""
        if self._url.scheme != "syslog+tls":
            with closing(_datagram_socket(self._url)) as connection:
                connection.send(content)
            return
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
    """Return a message with the header of RFC 5424, as PS3.15 A.6 requires."""
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
