"""Sends one object to a DICOMweb server by STOW-RS (PS3.18 section 10.5).

The body is read from the file while it is sent, since a SEG can be larger than what a worker has to spare. The
answer is judged by `dicom_io.delivery.stow_answer`.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from pydicom import dcmread

from core.errors import RetryLater
from dicom_io.delivery.answer import Answer
from dicom_io.delivery.store_scu import ANSWER_TIMEOUT_S
from dicom_io.delivery.stow_answer import meaning_of
from dicom_io.delivery.web import DICOM_JSON, WebDestination, authorization, client_of, read_answer

CHUNK = 1 << 20


def send_by_web(path: Path, destination: WebDestination, may_go_on: Callable[[], bool] = lambda: True) -> Answer:
    """Send a DICOM file by STOW-RS.

    Parameters
    ----------
    may_go_on
        Asked before each part of the body; once it says no, the connection is closed.

    Returns
    -------
    Answer
        What the server's answer says of this object.

    Raises
    ------
    RetryLater
        If there is no connection, no answer in time, or no token.
    ConfigInvalid
        If a certificate's file cannot be used.
    """
    headers = {"Accept": DICOM_JSON, **authorization(destination)}
    header = dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID", "SOPInstanceUID"])
    boundary = f"segnode-{os.urandom(16).hex()}"
    start = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    end = f"\r\n--{boundary}--\r\n".encode()
    headers["Content-Type"] = f'multipart/related; type="application/dicom"; boundary={boundary}'
    headers["Content-Length"] = str(len(start) + path.stat().st_size + len(end))
    url = f"{destination.url}/studies/{header.StudyInstanceUID}"
    with (
        client_of(destination, ANSWER_TIMEOUT_S) as client,
        client.stream("POST", url, content=_body(start, path, end, may_go_on), headers=headers) as response,
    ):
        answer = read_answer(response)
    return meaning_of(answer, str(header.SOPInstanceUID))


def _body(start: bytes, path: Path, end: bytes, may_go_on: Callable[[], bool]) -> Iterator[bytes]:
    with path.open("rb") as file:
        for part in chain([start], iter(partial(file.read, CHUNK), b""), [end]):
            if not may_go_on():
                raise RetryLater("lease expired; transfer aborted")
            yield part
