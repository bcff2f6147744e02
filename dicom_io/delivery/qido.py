"""Asks a DICOMweb server by QIDO-RS whether it has an object (PS3.18 section 10.6)."""

from core.errors import RetryLater
from dicom_io.delivery.answer import Held
from dicom_io.delivery.native_model import MalformedModelError, read_model
from dicom_io.delivery.web import (
    DICOM_JSON,
    WebAnswer,
    WebDestination,
    authorization,
    client_of,
    read_answer,
    status_problem,
)

ANSWER_TIMEOUT_S = 30.0
UNSUPPORTED_STATUSES = frozenset({400, 404, 405, 406, 410, 415, 501})
"""Statuses of a server that has no such service, or not for this query."""

FORBIDDEN_STATUSES = frozenset({401, 403})
"""Statuses of a server that has just taken an object with the same token, which then may store and not search."""

_INSTANCE = "00080018"


def has_instance(destination: WebDestination, study_uid: str, instance_uid: str) -> Held:
    """Ask whether a server has an object.

    Raises
    ------
    RetryLater
        If there is no connection, no answer in time, no token, or an answer that may pass, such as a login page.
    ConfigInvalid
        If a certificate's file cannot be used.
    """
    found = _get(destination, f"/studies/{study_uid}/instances", {"SOPInstanceUID": instance_uid})
    if found.status == 404 and _is_search(_get(destination, "/studies", {"StudyInstanceUID": study_uid})):
        return Held.NO  # it has the service, and not the study
    if found.status in UNSUPPORTED_STATUSES | FORBIDDEN_STATUSES or _is_no_search(found):
        return Held.CANNOT_BE_ASKED
    return Held.YES if instance_uid in _instances(found) else Held.NO


def check_that_it_answers(destination: WebDestination) -> None:
    """Return if a server answers as one that works does; a search for a study that nobody has costs it little.

    Raises
    ------
    RetryLater
        If there is no connection, no answer in time, no token, or an answer of something else than the service.
    ConfigInvalid
        If a certificate's file cannot be used.
    """
    answer = _get(destination, "/studies", {"limit": "1", "StudyInstanceUID": "2.25.0"})
    works = (answer.status in (200, 204) and not answer.is_page) or answer.status in UNSUPPORTED_STATUSES
    if not works:
        raise RetryLater(status_problem(answer))


def _is_search(answer: WebAnswer) -> bool:
    """Return whether an answer is that of a search: a list, or status 204, and never the page of a login."""
    if answer.status == 204:
        return True
    if answer.status != 200 or answer.is_page or answer.problem or _is_no_search(answer):
        return False
    try:
        read_model(answer.content_type, answer.body)
    except MalformedModelError:
        return False
    return True


def _is_no_search(answer: WebAnswer) -> bool:
    """Return whether a success is none of a search, which gives a list, or status 204 where it finds nothing."""
    begins = answer.body.lstrip()[:1]
    return answer.status == 200 and not answer.problem and (not begins or begins == b"{")


def _get(destination: WebDestination, path: str, query: dict[str, str]) -> WebAnswer:
    headers = {"Accept": DICOM_JSON, **authorization(destination)}
    with (
        client_of(destination, ANSWER_TIMEOUT_S) as client,
        client.stream("GET", f"{destination.url}{path}", params=query, headers=headers) as response,
    ):
        return read_answer(response)


def _instances(answer: WebAnswer) -> list[str]:
    if answer.status == 204:
        return []
    if answer.status != 200 or answer.is_page:
        raise RetryLater(status_problem(answer))
    try:
        if answer.problem:
            raise MalformedModelError(answer.problem)
        values = [one.get(_INSTANCE) for one in read_model(answer.content_type, answer.body)]
    except MalformedModelError as error:
        raise RetryLater(f"the destination's answer to QIDO-RS cannot be read: {error}") from error
    return [str(value[0]).strip(" \0") for value in values if value]
