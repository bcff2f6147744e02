"""Sends one object to a DICOMweb server by STOW-RS (PS3.18 section 10.5).

The body is read from the file while it is sent, since a SEG can be larger than what a worker has to spare, and the
answer is looked into: a server may say 200 or 202 and still name the object among those that it refused.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
from pydicom import dcmread

from core.errors import RetryLater
from dicom_io.delivery.store_scu import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S, TRANSIENT_STATUSES, Answer
from dicom_io.tls import TlsFiles, client_context

CHUNK = 1 << 20
FINAL_STATUSES = frozenset({400, 405, 406, 413, 415, 422, 501})
"""Statuses that a retry would get again: bad request, too large, not supported. A person corrects 401, 403 and 404."""

MAX_ANSWER_BYTES = 1 << 20
"""Bytes that are read at most of an answer about one object."""

_FAILED, _STORED = "00081198", "00081199"  # Failed SOP Sequence, Referenced SOP Sequence
_REASON = "00081197"


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


def send_by_web(path: Path, destination: WebDestination, may_go_on: Callable[[], bool] = lambda: True) -> Answer:
    """Send a DICOM file by STOW-RS.

    Parameters
    ----------
    may_go_on
        Asked before each part of the body; once it says no, the connection is closed.

    Returns
    -------
    Answer
        Refused means that another try gives the same answer.

    Raises
    ------
    RetryLater
        If there is no connection, no answer in time, no token, or a status that passes.
    ConfigInvalid
        If a certificate's file cannot be used.
    """
    headers = {"Accept": "application/dicom+json", **_authorization(destination)}
    header = dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
    boundary = f"segnode-{os.urandom(16).hex()}"
    start = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    end = f"\r\n--{boundary}--\r\n".encode()
    headers["Content-Type"] = f'multipart/related; type="application/dicom"; boundary={boundary}'
    headers["Content-Length"] = str(len(start) + path.stat().st_size + len(end))
    verify = client_context(destination.tls) if destination.url.startswith("https:") else True
    timeout = httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    try:
        with httpx.Client(verify=verify, timeout=timeout, trust_env=False) as client:
            url = f"{destination.url}/studies/{header.StudyInstanceUID}"
            with client.stream("POST", url, content=_body(start, path, end, may_go_on), headers=headers) as response:
                return _answer(response.status_code, _content(response))
    except httpx.RequestError as error:
        raise RetryLater(f"no answer from the destination ({type(error).__name__})") from error


def _authorization(destination: WebDestination) -> dict[str, str]:
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


def _body(start: bytes, path: Path, end: bytes, may_go_on: Callable[[], bool]) -> Iterator[bytes]:
    with path.open("rb") as file:
        for part in chain([start], iter(partial(file.read, CHUNK), b""), [end]):
            if not may_go_on():
                raise RetryLater("lease expired; transfer aborted")
            yield part


def _answer(status: int, content: dict[str, Any]) -> Answer:
    failed, stored = _items(content, _FAILED), _items(content, _STORED)
    if failed:
        return _refusal(failed[0])
    if status in FINAL_STATUSES or (status == 409 and not stored):
        return Answer(False, f"the destination refused the object with HTTP status {status}")
    if status not in (200, 202, 409):
        raise RetryLater(f"the destination answered with HTTP status {status}")
    return Answer(True, "" if status == 200 else f"stored with HTTP status {status}")


def _content(response: httpx.Response) -> dict[str, Any]:
    """Return an answer's JSON; empty if it is something else or too long: then the status alone counts."""
    encoded = bytearray()
    for piece in response.iter_bytes():
        encoded += piece
        if len(encoded) > MAX_ANSWER_BYTES:
            return {}
    try:
        content = json.loads(encoded)
    except (ValueError, RecursionError):
        return {}
    if isinstance(content, list) and content:
        content = content[0]
    return content if isinstance(content, dict) else {}


def _items(content: dict[str, Any], tag: str) -> list[Any]:
    """Values of an element, none where it is written in another way than PS3.18 annex F asks for."""
    element = content.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _refusal(item: object) -> Answer:
    """Explain an item of Failed SOP Sequence (PS3.18 table 10.5.3-2: reasons are those of C-STORE)."""
    values = _items(item, _REASON) if isinstance(item, dict) else []
    try:
        reason = int(values[0])
    except (LookupError, TypeError, ValueError, OverflowError):
        reason = 0
    if reason in TRANSIENT_STATUSES:
        raise RetryLater(f"the destination answered with failure reason 0x{reason:04X}")
    return Answer(False, f"the destination refused the object with failure reason 0x{reason:04X}")
