"""TLS of connections that this node opens: versions and ciphers as BCP 195 (RFC 9325) and PS3.15 annex B ask for."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from core.errors import ConfigInvalid

TLS_1_2_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL"
"""Forward secrecy and authenticated encryption only (RFC 9325 section 4.2); TLS 1.3 has nothing else."""


@dataclass(frozen=True)
class TlsFiles:
    """PEM files for a connection that this node opens.

    Attributes
    ----------
    ca
        Who may have signed the peer's certificate; the system's authorities if None.
    certificate, key
        This node's own, where the peer asks for one.
    verify_host
        Whether the peer's certificate must name the host that is called.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    verify_host: bool = True


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS for a connection that this node opens; the peer's certificate is always verified.

    Raises
    ------
    ConfigInvalid
        If a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(TLS_1_2_CIPHERS)
    context.check_hostname = files.verify_host
    try:
        if files.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(files.ca)
        if files.certificate is not None:
            context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except OSError as error:
        named = ", ".join(str(path) for path in (files.ca, files.certificate, files.key) if path is not None)
        problem = error.strerror or error
        raise ConfigInvalid(f"tls: {problem}; give PEM files that belong together: {named}") from error
    return context


def _no_password() -> str:
    # Without this, OpenSSL asks for the pass phrase of a key at the terminal, and waits.
    return ""
