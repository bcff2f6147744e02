"""Logs on stderr, one line an event: time, level, event, then ``key=value`` pairs.

Values are short IDs, counts and codes. Messages of libraries may quote an element of a data set, or an exception that
does, so only the place in their source is logged, and tracebacks are reduced to the type of the error.
"""

import json
import logging
import sys
import time
import warnings
from typing import Literal

from core.event_log import NAME

LogForm = Literal["text", "json"]

READ_DICOM = ("pydicom", "pynetdicom", "highdicom", "gdcm", "openjpeg")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class EventFormatter(logging.Formatter):
    """A formatter of records as ``2026-11-20T12:00:00Z INFO worker study_closed study=1f2e…``."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self.process = process

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line, without a traceback."""
        event, fields = self.parts(record)
        pairs = "".join(f" {key}={_quoted(value)}" for key, value in fields.items())
        return f"{_stamp(record)} {record.levelname} {self.process} {event}{pairs}"

    def parts(self, record: logging.LogRecord) -> tuple[str, dict[str, object]]:
        """Return the parts of a record that may be logged: the event, and its fields."""
        fields: dict[str, object] = {}
        if record.name == NAME:
            event = record.getMessage()
            fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        else:
            event = "library_message_omitted"
            fields = {"at": f"{record.name}:{record.lineno}", "file": record.filename}
        if record.exc_info and record.exc_info[0]:
            fields["error"] = record.exc_info[0].__name__
        return event, fields


class JsonFormatter(EventFormatter):
    """A formatter of records as one JSON object a line: ``time level process event``, then the same fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line."""
        event, fields = self.parts(record)
        head = {"time": _stamp(record), "level": record.levelname, "process": self.process, "event": event}
        return json.dumps({**fields, **head}, default=str)


def make_formatter(process: str, form: LogForm) -> EventFormatter:
    """Make the formatter of a process's log."""
    return JsonFormatter(process) if form == "json" else EventFormatter(process)


def _stamp(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))


def _quoted(value: object) -> str:
    text = " ".join(str(value).split())
    return f'"{text}"' if " " in text or not text else text


def configure_logging(process: str, form: LogForm = "text") -> None:
    """Send this process's log to stderr.

    Parameters
    ----------
    process
        Name of the process: ``node``, ``listener`` or ``worker``.
    form
        ``text`` or ``json``.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(make_formatter(process, form))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger(NAME).setLevel(logging.INFO)
    # What they report names no study, and comes back as a status or an exception, which this project logs itself.
    for name in READ_DICOM:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.showwarning = _log_warning


def _log_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
) -> None:
    # The text may quote an element's value ("Invalid value for VR PN: ...").
    logging.getLogger(NAME).debug(
        "python_warning_raised", extra={"category": category.__name__, "at": f"{filename}:{lineno}"}
    )
