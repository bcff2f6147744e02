"""The images of one series, or of one volume of it, by their headers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydicom.dataset import Dataset

from dicom_io.images.headers.attributes import items
from dicom_io.images.headers.instance import Instance

Found = TypeVar("Found")
Places = tuple[Dataset, ...]


def unread_sentence(count: int) -> str:
    """Tell how many images could not be read, so that whoever looks for a missing slice knows where it is."""
    return f"{count} image{'' if count == 1 else 's'} could not be read."


@dataclass(frozen=True)
class Part:
    """One volume of a series that holds several.

    Attributes
    ----------
    words
        What sets it apart from the others, for people; no two of a series have the same.
    named
        Keys and values of ``volume`` in ``model.yaml`` that choose it; empty where no key sets it apart.
    """

    words: str
    named: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Stray:
    """An image that is set aside, since it is none of the volume beside which it lies.

    Attributes
    ----------
    name
        SOP Instance UID, and the frame of a multi-frame image.
    why
        What it is or lacks, as a part of a sentence.
    """

    name: str
    why: str


def sentence_of(strays: Sequence[Stray]) -> str:
    """Name the images that were set aside."""
    return f"{'; '.join(f'Image {stray.name} {stray.why}' for stray in strays)}."


@dataclass(frozen=True, eq=False)
class Series:
    """The images of one series, each SOP instance once, in order of their files; or those of one volume of it.

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
    frames
        For each instance the numbers, from 1, of its frames that belong to the volume; ``None`` where all do.
    part
        Which volume of its series it is; ``None`` for a series that is one.
    strays
        Images of the series that were set aside.
    whole
        The series that it was taken from; ``None`` for a series as it was read.
    """

    uid: str
    instances: tuple[Instance, ...]
    repeats: int = 0
    conflicts: tuple[str, ...] = ()
    unread: int = 0
    changed_words: str = ""
    frames: tuple[tuple[int, ...], ...] | None = None
    part: Part | None = None
    strays: tuple[Stray, ...] = ()
    whole: "Series | None" = None
    _found: dict[Callable[["Series"], Any], Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def key(self) -> str:
        """A name that no other volume of the study has: the UID, and what sets the volume apart within its series."""
        return f"{self.uid} {self.part.words}" if self.part is not None else self.uid

    def once(self, find: Callable[["Series"], Found]) -> Found:
        """Return what a function finds of the series, computed once however many callers ask for it."""
        if find not in self._found:
            self._found[find] = find(self)
        found: Found = self._found[find]
        return found

    def frame_places(self) -> Iterator[tuple[Instance, Dataset, int, Places]]:
        """Yield each frame: its instance, the header, its number from 1, and its functional groups.

        The groups are its own before the shared ones; a classic image has none. A multi-frame image without a group
        for each frame yields as many as it has.
        """
        for index, instance in enumerate(self.instances):
            header = instance.header
            wanted = None if self.frames is None else self.frames[index]
            for number, places in enumerate(groups_of(header), start=1):
                if wanted is None or number in wanted:
                    yield instance, header, number, places


def groups_of(header: Dataset) -> list[Places]:
    """Return the functional groups of each frame, its own before the shared ones; of a classic image none, once."""
    if "PerFrameFunctionalGroupsSequence" not in header:
        return [()]
    shared = tuple(items(header, "SharedFunctionalGroupsSequence"))[:1]
    return [(own, *shared) for own in items(header, "PerFrameFunctionalGroupsSequence")] or [shared]
