"""The reason why a destination could not be reached, in a sentence that names the remedy.

C-STORE over TLS and HTTPS fail in the same ways, so both are explained here. A library's error is
followed down to that of the socket or of OpenSSL which caused it.
"""

import socket
import ssl
from collections.abc import Iterator

_EXPIRED, _NOT_YET_VALID, _WRONG_HOST, _WRONG_ADDRESS = 10, 9, 62, 64
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21, 27})
"""Codes of OpenSSL's ``X509_V_ERR_…``: no issuer, self-signed, no local issuer, a leaf not verified, not trusted."""

_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"})
_OWN_REFUSED = (
    *("CERTIFICATE_REQUIRED", "ALERT_UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN", "ACCESS_DENIED"),
    *("CERTIFICATE_EXPIRED", "CERTIFICATE_REVOKED", "HANDSHAKE_FAILURE"),
)
"""Alerts (RFC 8446 section 6.2) of a peer that does not take this node's own certificate, or misses one."""


def explain_problem(error: BaseException, host: str, port: int) -> str:
    """Return the sentence for an error while connecting to a destination or waiting for it.

    Parameters
    ----------
    error
        As it was raised; its causes are looked through.
    host, port
        The address that was called, as ``node.yaml`` has it.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _certificate_problem(cause, host)
        if isinstance(cause, ssl.SSLError):
            return _handshake_problem(cause, host, port)
        if isinstance(cause, socket.gaierror):
            return f"no host is known by the name {host}; correct it in node.yaml, or the name service"
        if isinstance(cause, ConnectionRefusedError):
            return f"{host} port {port} refused the connection; check that the program there runs, and the port"
        if isinstance(cause, ConnectionResetError | BrokenPipeError):
            return f"{host} port {port} closed the connection without an answer; see its log"
        if isinstance(cause, TimeoutError):
            return f"{host} port {port} did not answer in time; check that it is up, and the firewalls between"
        if isinstance(cause, OSError) and cause.strerror:
            return f"no connection to {host} port {port}: {cause.strerror}"
    return f"no connection to {host} port {port} ({type(error).__name__})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _certificate_problem(error: ssl.SSLCertVerificationError, host: str) -> str:
    code = error.verify_code
    if code == _EXPIRED:
        return f"the certificate of {host} has expired; have it renewed there"
    if code == _NOT_YET_VALID:
        return f"the certificate of {host} is not valid yet; check the clocks of both machines"
    if code in (_WRONG_HOST, _WRONG_ADDRESS):
        return f"the certificate of {host} names another host; call it by a name that the certificate has"
    if code in _UNKNOWN_AUTHORITY:
        return f"the certificate of {host} is signed by an authority that is not trusted here; name it as tls: ca"
    return f"the certificate of {host} is not valid ({error.verify_message}); have it replaced there"


def _handshake_problem(error: ssl.SSLError, host: str, port: int) -> str:
    reason = error.reason or ""
    if reason in _NO_TLS:
        return f"{host} port {port} does not speak TLS; check the port, or leave tls out"
    if any(alert in reason for alert in _OWN_REFUSED):
        return f"{host} did not accept this node's certificate; check tls: certificate and key, and who it trusts"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return f"{host} port {port} closed the connection during the TLS handshake; see its log"
    return f"the TLS handshake with {host} port {port} failed ({reason or type(error).__name__})"
