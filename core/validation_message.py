"""The text of a pydantic error, for a person."""

from collections.abc import Mapping
from typing import Any

_OF_A_VALIDATOR = ("Value error, ", "Assertion failed, ")
"""Pydantic puts these before the text of a validator's own exception."""


def message_of(problem: Mapping[str, Any]) -> str:
    """Return the message of one error of a ``ValidationError`` without the name of a Python exception."""
    message = str(problem["msg"])
    for prefix in _OF_A_VALIDATOR:
        message = message.removeprefix(prefix)
    return message
