"""The place where an exception arose, for logs and answers; its text may quote what a peer or a file holds."""

import traceback
from pathlib import Path
from types import TracebackType


def raised_at(where: TracebackType | None, frames: int = 1) -> str:
    """Return ``file.py:12`` for the innermost frames of a traceback, the innermost first; empty without a traceback."""
    named = reversed(traceback.extract_tb(where)[-frames:])
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in named)


def stack_of(error: BaseException) -> str:
    """Return all frames of an exception with their source lines, and without its text."""
    return "".join(traceback.format_tb(error.__traceback__))
