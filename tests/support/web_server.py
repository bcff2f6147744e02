"""A DICOMweb server of the tests' own, that answers as it is told and remembers what it got."""

import json
import re
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydicom import dcmread

DICOM_JSON = "application/dicom+json"


def naming(*stored: str, failed: tuple[tuple[str, int], ...] = ()) -> bytes:
    """A response of STOW-RS in JSON that names objects as stored, and others as failed, each with its reason."""

    def item(uid: str, **elements: int) -> dict[str, Any]:
        named = {"00081155": {"vr": "UI", "Value": [uid]}} if uid else {}
        return named | {tag: {"vr": "US", "Value": [value]} for tag, value in elements.items()}

    content: dict[str, Any] = {}
    if stored:
        content["00081199"] = {"vr": "SQ", "Value": [item(uid) for uid in stored]}
    if failed:
        content["00081198"] = {"vr": "SQ", "Value": [item(uid, **{"00081197": reason}) for uid, reason in failed]}
    return json.dumps(content).encode()


class WebServer:
    """A server that keeps what it got.

    Parameters
    ----------
    status
        Answered to an object that comes.
    body
        Of that answer; by the object's UID where it is a function, and naming it as stored where it is left out.
    content_type
        Of that answer; no header where it is empty.
    holds
        UIDs that it answers by QIDO-RS; None where it has no such service.
    stores
        Whether what it gets is found by QIDO-RS from then on.
    search
        Status and body of each answer to QIDO-RS, in place of what it holds.
    search_of_studies
        Of those to a search for studies alone.
    headers
        Of that answer, beside its own.
    context
        Speaks HTTPS with it.
    """

    def __init__(
        self,
        status: int = 200,
        body: bytes | Callable[[str], bytes] = naming,
        *,
        content_type: str = DICOM_JSON,
        holds: set[str] | None = None,
        stores: bool = True,
        headers: dict[str, str] | None = None,
        search: tuple[int, bytes] | None = None,
        search_of_studies: tuple[int, bytes] | None = None,
        context: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.questions: list[str] = []
        self.status, self.body, self.content_type, self.headers = status, body, content_type, headers or {}
        self.holds, self.stores, self.search, self.search_of_studies = holds, stores, search, search_of_studies
        self.server = _Server(("127.0.0.1", port), self._handler())
        if context is not None:
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.server.server_port}/dicom-web"
        self._thread = threading.Thread(target=self.server.serve_forever, args=[0.05], daemon=True)

    def __enter__(self) -> "WebServer":
        """Answer."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.server.shutdown()
        self.server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 60

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append((self.path, dict(self.headers), content))
                uid = _uid_of(content)
                if outer.stores and outer.holds is not None:
                    outer.holds.add(uid)
                body = outer.body(uid) if callable(outer.body) else outer.body
                self._answer(outer.status, outer.content_type, body, outer.headers)

            def do_GET(self) -> None:
                outer.questions.append(self.path)
                is_of_studies = urlsplit(self.path).path.endswith("/studies")
                search = (outer.search_of_studies if is_of_studies else None) or outer.search
                if search is not None:
                    self._answer(search[0], DICOM_JSON, search[1], {})
                    return
                if outer.holds is None:
                    self._answer(404, "", b"", {})
                    return
                wanted = parse_qs(urlsplit(self.path).query).get("SOPInstanceUID", [])
                found = [{"00080018": {"vr": "UI", "Value": [uid]}} for uid in wanted if uid in outer.holds]
                self._answer(200, DICOM_JSON, json.dumps(found).encode(), {})

            def _answer(self, status: int, kind: str, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in ({"Content-Type": kind} if kind else {}).items() | headers.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with suppress(OSError):  # who asked may have heard enough
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Print nothing: a client that trusts nobody hangs up."""


def _uid_of(body: bytes) -> str:
    """SOP Instance UID of the object in the body of a STOW-RS request."""
    match = re.match(rb"--[^\r]+\r\n.*?\r\n\r\n", body, re.DOTALL)
    if match is None:
        return ""
    header = dcmread(BytesIO(body[match.end() :]), stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
    return str(header.SOPInstanceUID)
