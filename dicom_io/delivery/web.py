"""Requests to a DICOMweb server: its address, its tokens, and answers of a bounded length."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from core.errors import RetryLater
from dicom_io.delivery.connection_problem import explain_problem
from dicom_io.delivery.store_scu import CONNECT_TIMEOUT_S
from dicom_io.tls import TlsFiles, client_context

MAX_ANSWER_BYTES = 1 << 20
"""Bytes that are read at most of an answer about one object."""

ANSWER_WITHIN_S = 60.0
"""Time from the beginning of an answer's body to its end; one that trickles would hold up the next delivery."""

DICOM_JSON = "application/dicom+json"
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_PAGE_BEGINNINGS = (b"<!doctype html", b"<html")


@dataclass(frozen=True)
class WebDestination:
    """A DICOMweb server.

    Attributes
    ----------
    url
        Base address, to which ``/studies`` is added.
    tls
        Certificates, where the address is https.
    token_file, token_env
        File or environment variable with a bearer token, read anew for each object.
    """

    url: str
    tls: TlsFiles = field(default_factory=TlsFiles)
    token_file: Path | None = None
    token_env: str | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Return host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


@dataclass(frozen=True)
class WebAnswer:
    """A server's answer.

    Attributes
    ----------
    status
        HTTP status.
    content_type
        The header of that name as it came; empty where there is none.
    body
        Unpacked.
    problem
        Why the body could not be read, in this program's own words; empty where it could.
    """

    status: int
    content_type: str
    body: bytes
    problem: str = ""

    @property
    def media_type(self) -> str:
        """Return the content type without its parameters."""
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def is_page(self) -> bool:
        """Return whether it is a page for people, whatever it is labelled: that of a login or of a proxy."""
        return self.media_type in _PAGES or self.body[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(
            _PAGE_BEGINNINGS
        )


@contextmanager
def client_of(destination: WebDestination, answer_s: float) -> Iterator[httpx.Client]:
    """Open a client for a destination that follows no redirect, since its token would go along.

    Raises
    ------
    RetryLater
        With the reason, where the block fails to get an answer.
    ConfigInvalid
        If a certificate's file cannot be used.
    """
    verify = client_context(destination.tls) if destination.url.startswith("https:") else True
    timeout = httpx.Timeout(answer_s, connect=CONNECT_TIMEOUT_S)
    host, port = destination.address
    try:
        with httpx.Client(verify=verify, timeout=timeout, trust_env=False, follow_redirects=False) as client:
            yield client
    except httpx.ReadTimeout as error:
        raise RetryLater(f"{host} port {port} took the request and did not answer within {answer_s:.0f} s") from error
    except httpx.RemoteProtocolError as error:
        problem = f"{host} port {port} closed the connection, or does not speak HTTP; see its log, and check the port"
        raise RetryLater(problem) from error
    except httpx.RequestError as error:
        raise RetryLater(explain_problem(error, host, port)) from error


def authorization(destination: WebDestination) -> Mapping[str, str]:
    """Return the header with the destination's token, read anew; empty where it has none.

    Raises
    ------
    RetryLater
        If the token is missing or malformed: a person puts it right.
    """
    if destination.token_file is not None:
        try:
            token = destination.token_file.read_text().strip()
        except OSError as error:
            raise RetryLater(f"cannot read the destination's token file: {error.strerror}") from error
    elif destination.token_env is not None:
        token = os.environ.get(destination.token_env, "").strip()
    else:
        return {}
    if not token or not token.isascii() or not token.isprintable():
        raise RetryLater("the destination's token is missing or malformed; give one line of printable ASCII")
    return {"Authorization": f"Bearer {token}"}


def read_answer(response: httpx.Response, max_bytes: int = MAX_ANSWER_BYTES) -> WebAnswer:
    """Read an answer that is being streamed, within bounds of size and time."""
    status, kind, body = response.status_code, response.headers.get("Content-Type", ""), bytearray()
    deadline = time.monotonic() + ANSWER_WITHIN_S
    try:
        for piece in response.iter_bytes():
            body += piece
            if len(body) > max_bytes:
                return WebAnswer(status, kind, bytes(body[:512]), f"its answer is longer than {max_bytes} bytes")
            if time.monotonic() > deadline:
                return WebAnswer(status, kind, bytes(body[:512]), f"its answer takes over {ANSWER_WITHIN_S:.0f} s")
    except httpx.DecodingError:
        return WebAnswer(status, kind, b"", "its answer cannot be unpacked")
    return WebAnswer(status, kind, bytes(body))


def status_problem(answer: WebAnswer) -> str:
    """Return the sentence for an answer that is none of the service: an error, a redirect, or a page for people."""
    if 300 <= answer.status < 400:
        return f"the destination redirects to another address (HTTP status {answer.status}); check url and token"
    if answer.status in (401, 403):
        return f"the destination answered with HTTP status {answer.status}; check its token and what it permits"
    if answer.status == 404:
        return "the destination answered with HTTP status 404; check url, which is the address without /studies"
    if answer.is_page and 200 <= answer.status < 300:
        return f"the destination answered with a web page (HTTP status {answer.status}); check url and token"
    return f"the destination answered with HTTP status {answer.status}"
