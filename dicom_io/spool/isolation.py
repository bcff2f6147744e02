"""Studies stand apart: what is wrong with the files of one holds up no other."""

from collections.abc import Iterator
from contextlib import contextmanager

from core.event_log import EventLog, bound

_log = EventLog()


DAMAGE = (OSError, ValueError, KeyError)
"""The errors of reading a study's files where one is gone, cannot be read or written, or is damaged."""


def problem_of(error: Exception) -> str:
    """Describe one of `DAMAGE` without a path or a value of the study's files."""
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


@contextmanager
def apart(key: str, said: dict[str, str] | None = None) -> Iterator[None]:
    """Let what one study's files do not allow be logged, and go on with the next study; events name the study.

    Parameters
    ----------
    key
        The study.
    said
        Problems of studies that were logged before, by key; the same one is not logged again.
    """
    with bound(study=key):
        try:
            yield
        except DAMAGE as error:
            problem = problem_of(error)
            if said is None or said.get(key) != problem:
                _log.error("study_skipped", problem=problem)
            if said is not None:
                said[key] = problem
        else:
            if said is not None:
                said.pop(key, None)
