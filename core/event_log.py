"""The program's own log: events with fields, and fields that are bound to the work under way.

A record goes to the logger ``segnode`` of the standard library; `runtime.logs` decides at the handler how much of it,
and of the records of libraries, is written.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

NAME: Final = "segnode"

_bound: Final[ContextVar[dict[str, object]]] = ContextVar("bound_log_fields", default={})  # noqa: B039 - never changed, only replaced


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Give every event that this thread logs in the block some fields, those of blocks around it included."""
    before = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(before)


class EventLog:
    """A log of events; names follow ``docs/operations/log-events.md``, fields are short IDs, counts and codes.

    A field must not have the name of a standard attribute of `logging.LogRecord`.
    """

    def __init__(self) -> None:
        self._logger = logging.getLogger(NAME)

    def info(self, event: str, **fields: object) -> None:
        """Log an event of the ordinary course of things."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log an event that an operator should know of."""
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Log an event that an operator has to act on."""
        self._log(logging.ERROR, event, fields)

    def _log(self, level: int, event: str, fields: dict[str, object]) -> None:
        self._logger.log(level, event, extra={**_bound.get(), **fields}, stacklevel=3)
