"""Requests to a DICOMweb server: its address, its tokens, and answers of a bounded length.

Answers are asked for as they are. One that comes packed all the same is unpacked here, piece by piece and by one layer:
what is packed twice grows a million times, and httpx unpacks every layer of a piece before its length can be looked at.
"""

import os
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from core.errors import NotReached, RetryLater
from dicom_io.delivery.connection_problem import explain_problem
from dicom_io.delivery.store_scu import CONNECT_TIMEOUT_S
from dicom_io.tls import TlsFiles, client_context

MAX_ANSWER_BYTES = 1 << 20
"""Bytes that are read at most of an answer about one object."""

ANSWER_WITHIN_S = 60.0
"""Time from the beginning of an answer's body to its end; one that trickles would hold up the next delivery."""

DICOM_JSON = "application/dicom+json"
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_GZIP_OR_ZLIB = 47
"""``wbits`` of zlib: the largest window, and either of the two headers."""

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
    NotReached
        With the reason, where no connection comes to be.
    RetryLater
        With the reason, where the block fails to get an answer.
    ConfigInvalid
        If a certificate's file cannot be used.
    """
    verify = client_context(destination.tls) if destination.url.startswith("https:") else True
    timeout = httpx.Timeout(answer_s, connect=CONNECT_TIMEOUT_S)
    host, port = destination.address
    try:
        with httpx.Client(
            headers={"Accept-Encoding": "identity"},
            verify=verify,
            timeout=timeout,
            trust_env=False,
            follow_redirects=False,
        ) as client:
            yield client
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise NotReached(explain_problem(error, host, port)) from error
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
    NotReached
        If the token is missing or malformed: a person puts it right.
    """
    if destination.token_file is not None:
        try:
            token = destination.token_file.read_text().strip()
        except OSError as error:
            raise NotReached(f"cannot read the destination's token file: {error.strerror}") from error
    elif destination.token_env is not None:
        token = os.environ.get(destination.token_env, "").strip()
    else:
        return {}
    if not token or not token.isascii() or not token.isprintable():
        raise NotReached("the destination's token is missing or malformed; give one line of printable ASCII")
    return {"Authorization": f"Bearer {token}"}


def read_answer(response: httpx.Response, max_bytes: int = MAX_ANSWER_BYTES) -> WebAnswer:
    """Read an answer that is being streamed, within bounds of size, as it comes and unpacked, and of time."""
    status, kind = response.status_code, response.headers.get("Content-Type", "")
    layers = [name.lower() for name in response.headers.get_list("Content-Encoding", split_commas=True)]
    layers = [name for name in layers if name not in ("", "identity")]
    if len(layers) > 1 or not _PACKED.issuperset(layers):
        return WebAnswer(status, kind, b"", "its answer is packed in a way that is not read")
    body = _Body(max_bytes, is_packed=bool(layers))
    deadline = time.monotonic() + ANSWER_WITHIN_S
    for piece in response.iter_raw():
        problem = body.add(piece)
        if not problem and time.monotonic() > deadline:
            problem = f"its answer takes over {ANSWER_WITHIN_S:.0f} s"
        if problem:
            return WebAnswer(status, kind, bytes(body.content[:512]), problem)
    return WebAnswer(status, kind, bytes(body.content), body.problem_at_end)


class _Body:
    """The part of a body that has come, unpacked; neither that nor what came is longer than it may be."""

    def __init__(self, max_bytes: int, *, is_packed: bool) -> None:
        self.content = bytearray()
        self._max_bytes = max_bytes
        self._came = 0
        self._unpacker = zlib.decompressobj(_GZIP_OR_ZLIB) if is_packed else None

    def add(self, piece: bytes) -> str:
        """Take in what came next; return the reason why no more is to be read, if there is one."""
        self._came += len(piece)
        room = self._max_bytes + 1 - len(self.content)
        try:
            self.content += piece if self._unpacker is None else self._unpacker.decompress(piece, room)
        except zlib.error:
            return "its answer cannot be unpacked"
        if max(len(self.content), self._came) > self._max_bytes:
            return f"its answer is longer than {self._max_bytes} bytes"
        if self._unpacker is not None and self._unpacker.unused_data:
            return "its answer goes on behind what is packed"
        return ""

    @property
    def problem_at_end(self) -> str:
        """Return what is wrong with a body that has ended: one that is packed is to end where its packing does."""
        is_cut = self._unpacker is not None and self._came > 0 and not self._unpacker.eof
        return "its answer cannot be unpacked" if is_cut else ""


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
