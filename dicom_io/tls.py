"""TLS of connections that this node opens and of those that peers open, by BCP 195 (RFC 9325) and PS3.15 annex B."""

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from core.errors import ConfigInvalid

TLS_1_2_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL"
"""Forward secrecy and authenticated encryption only (RFC 9325 section 4.2); TLS 1.3 has nothing else."""


@dataclass(frozen=True)
class TlsFiles:
    """PEM files for a connection that this node opens.

    Attributes
    ----------
    ca
        Authorities that may have signed the peer's certificate; the system's if None.
    certificate, key
        This node's own, for peers that require one.
    verify_host
        Whether the peer's certificate must name the host that is called.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    verify_host: bool = True


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the TLS context for a connection that this node opens; the peer's certificate is always verified.

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


@dataclass(frozen=True)
class ServerTls:
    """PEM files of the listening side.

    Attributes
    ----------
    certificate
        Its certificate, followed by the intermediate ones.
    key
        Its private key, without a pass phrase.
    ca
        Certificates of the authorities that may sign peers' certificates.
    minimum
        Oldest TLS version that is accepted.
    """

    certificate: Path
    key: Path
    ca: Path
    minimum: Literal["1.2", "1.3"] = "1.2"


@dataclass(frozen=True)
class PeerCertificate:
    """The identity that a peer has proved.

    Attributes
    ----------
    names
        Common name of the subject, and alternative names (DNS, IP address, URI).
    fingerprint
        SHA-256 of the certificate, 64 hexadecimal digits.
    """

    names: frozenset[str]
    fingerprint: str

    def is_called(self, name: str) -> bool:
        """Tell whether a name of ``node.yaml`` is one of this certificate's names, or its fingerprint."""
        return name in self.names or name.replace(":", "").lower() == self.fingerprint


def server_context(files: ServerTls) -> ssl.SSLContext:
    """Return the TLS context for connections that peers open; each peer must present a certificate.

    Raises
    ------
    OSError
        If a file cannot be read or holds no usable PEM (`ssl.SSLError` is an `OSError`).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if files.minimum == "1.3" else ssl.TLSVersion.TLSv1_2
    context.set_ciphers(TLS_1_2_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(files.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def peer_certificate(connection: ssl.SSLSocket) -> PeerCertificate | None:
    """Return the certificate that the peer of an encrypted connection has presented."""
    encoded = connection.getpeercert(binary_form=True)
    if encoded is None:
        return None
    content = cast(dict[str, Any], connection.getpeercert() or {})
    names = {value for part in content.get("subject", ()) for key, value in part if key == "commonName"}
    names |= {value for _, value in content.get("subjectAltName", ())}
    return PeerCertificate(frozenset(names), hashlib.sha256(encoded).hexdigest())
