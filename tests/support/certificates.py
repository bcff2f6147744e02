"""Certificates for tests, made by OpenSSL: an authority, and what it signed."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """PEM files of one party."""

    certificate: Path
    key: Path


def make_authority(openssl: str, folder: Path, name: str = "authority") -> Certificate:
    """A new authority."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    _run(
        *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"),
        *("-keyout", str(made.key), "-out", str(made.certificate)),
    )
    return made


def make_certificate(
    openssl: str,
    folder: Path,
    name: str,
    authority: Certificate,
    *,
    names: str = "IP:127.0.0.1,DNS:localhost",
    days: int = 2,
) -> Certificate:
    """A certificate that the authority signed, for the given alternative names; with -1 day it has expired."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
    extensions.write_text(f"subjectAltName={names}\n")
    _run(
        *(openssl, "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
        *("-keyout", str(made.key), "-out", str(request)),
    )
    _run(
        *(openssl, "x509", "-req", "-in", str(request), "-CA", str(authority.certificate)),
        *("-CAkey", str(authority.key), "-CAcreateserial", "-days", str(days)),
        *("-extfile", str(extensions), "-out", str(made.certificate)),
    )
    return made


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - OpenSSL found by name
