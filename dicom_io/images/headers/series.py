"""The images of one series, by their headers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dicom_io.images.headers.instance import Instance

Found = TypeVar("Found")


def unread_sentence(count: int) -> str:
    """Tell how many images could not be read, so that whoever looks for a missing slice knows where it is."""
    return f"{count} image{'' if count == 1 else 's'} could not be read."


@dataclass(frozen=True, eq=False)
class Series:
    """The images of one series, each SOP instance once, in order of their files.

    Attributes
    ----------
    uid
        Series Instance UID; empty where the images have none that is valid.
    instances
        Its images.
    repeats
        How many files repeated an image of the series and were left out.
    conflicts
        SOP Instance UIDs under which two different images were found.
    unread
        How many files and folders beside it could not be read; images of the series may be among them.
    changed_words
        Keywords of the attributes in which files of one image differ, as a list for a person; empty without any.
    """

    uid: str
    instances: tuple[Instance, ...]
    repeats: int = 0
    conflicts: tuple[str, ...] = ()
    unread: int = 0
    changed_words: str = ""
    _found: dict[Callable[["Series"], Any], Any] = field(default_factory=dict, init=False, repr=False)

    def once(self, find: Callable[["Series"], Found]) -> Found:
        """Return what a function finds of the series, computed once however many callers ask for it."""
        if find not in self._found:
            self._found[find] = find(self)
        found: Found = self._found[find]
        return found
