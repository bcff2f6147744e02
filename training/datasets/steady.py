"""Reading files that other registrations link at the same time."""

from collections.abc import Callable
from typing import TypeVar

from core.errors import UnreadableImage
from core.image_files.reader import CHANGED

TRIES = 10
Read = TypeVar("Read")


def steadily(read: Callable[[], Read]) -> Read:
    """Read again where a file seemed to change: a registration that links a file gives it one more name.

    Raises
    ------
    UnreadableImage
        As ``read``; also if the file keeps changing.
    """
    for _ in range(TRIES - 1):
        try:
            return read()
        except UnreadableImage as error:
            if error.detail != CHANGED:
                raise
    return read()
