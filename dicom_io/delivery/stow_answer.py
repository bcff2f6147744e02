"""The meaning of a STOW-RS answer: an object is delivered only where the answer names its UID as stored.

References
----------
PS3.18 10.5.3 (response: Referenced SOP Sequence, Failed SOP Sequence, Other Failures Sequence, Warning Reason).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dicom_io.delivery.answer import Answer, Said, said_by_failure, warning_text
from dicom_io.delivery.native_model import Attributes, MalformedModelError, read_model
from dicom_io.delivery.web import WebAnswer, status_problem

FINAL_STATUSES = frozenset({400, 405, 406, 413, 415, 422, 501})
"""Statuses that a retry would get again: bad request, too large, not supported. A person corrects 401, 403 and 404."""

CONFLICT = 409

_FAILED, _STORED, _OTHER_FAILURES = "00081198", "00081199", "0008119A"
_INSTANCE, _WARNING, _FAILURE, _COMMENT = "00081155", "00081196", "00081197", "00000902"


@dataclass(frozen=True)
class _Item:
    """The part of an answer about one object; without a UID where it could not tell which."""

    instance: str
    warning: int | None
    failure: int | None
    comment: str


@dataclass(frozen=True)
class _Named:
    """The objects that an answer names."""

    stored: Sequence[_Item] = ()
    failed: Sequence[_Item] = field(default_factory=list)


def meaning_of(answer: WebAnswer, instance_uid: str) -> Answer:
    """Return what a server's answer says of the one object that it was sent.

    Parameters
    ----------
    answer
        The answer to a request with this object alone.
    instance_uid
        SOP Instance UID of the object.
    """
    status = answer.status
    is_success = 200 <= status < 300
    if not (is_success or status == CONFLICT or status in FINAL_STATUSES):
        return Answer(Said.LATER, status_problem(answer))
    if answer.is_page and is_success:
        return Answer(Said.LATER, status_problem(answer))
    named, problem = _named(answer)
    # Of a request with one object, a failure without a UID can only be of that.
    failed = [item for item in named.failed if item.instance in ("", instance_uid)]
    if failed:
        return _failure(failed[0], status)
    stored = [item for item in named.stored if item.instance == instance_uid]
    if stored and is_success:
        return Answer(Said.STORED, _warning(stored[0], status), stored[0].comment)
    if stored and status == CONFLICT:
        return Answer(Said.HAS_IT, f"the destination has it already (HTTP status {status})", stored[0].comment)
    if not is_success:
        return Answer(Said.REFUSED, f"the destination refused the object with HTTP status {status}")
    others = named.stored or named.failed
    doubt = problem or ("its answer names another object" if others else "its answer names no object")
    return Answer(Said.UNNAMED, f"the destination answered with HTTP status {status}, but {doubt}")


def _named(answer: WebAnswer) -> tuple[_Named, str]:
    """Return what an answer names, or why it cannot be read."""
    if answer.problem:
        return _Named(), answer.problem
    try:
        sets = read_model(answer.content_type, answer.body)
    except MalformedModelError as error:
        return _Named(), str(error)
    stored = [item for one in sets for item in _items(one, _STORED)]
    failed = [item for one in sets for tag in (_FAILED, _OTHER_FAILURES) for item in _items(one, tag)]
    return _Named(stored, failed), ""


def _items(content: Attributes, tag: str) -> list[_Item]:
    found = []
    for item in content.get(tag, ()):
        attributes = item if isinstance(item, Mapping) else {}
        found.append(
            _Item(
                _text(attributes, _INSTANCE),
                _number(attributes, _WARNING),
                _number(attributes, _FAILURE),
                _text(attributes, _COMMENT),
            )
        )
    return found


def _text(attributes: Attributes, tag: str) -> str:
    values = attributes.get(tag, ())
    return values[0].strip(" \0\t\r\n") if values and isinstance(values[0], str) else ""


def _number(attributes: Attributes, tag: str) -> int | None:
    values = attributes.get(tag, ())
    if not values or not isinstance(values[0], int | float | str):
        return None
    try:
        return int(values[0])
    except (ValueError, OverflowError):
        return None


def _warning(item: _Item, status: int) -> str:
    if item.warning is not None:
        return warning_text(item.warning & 0xFFFF)
    return "" if status == 200 else f"stored with HTTP status {status}"


def _failure(item: _Item, status: int) -> Answer:
    reason = item.failure or 0
    if status == CONFLICT and not reason and item.instance:
        return Answer(Said.HAS_IT, f"the destination has it already (HTTP status {status})", item.comment)
    said = said_by_failure(reason)
    verb = "refused the object" if said is Said.REFUSED else "answered"
    return Answer(said, f"the destination {verb} with failure reason 0x{reason & 0xFFFF:04X}", item.comment)
