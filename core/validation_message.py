"""The text of a pydantic error, for a person."""

_OF_A_VALIDATOR = ("Value error, ", "Assertion failed, ")
"""Pydantic puts these before the text of a validator's own exception."""


def plain_message(message: str) -> str:
    """Return the message of one error of a ``ValidationError`` without the name of a Python exception."""
    for prefix in _OF_A_VALIDATOR:
        message = message.removeprefix(prefix)
    return message
