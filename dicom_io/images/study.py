"""From a folder of any shape to studies and series, by headers alone."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from filecmp import cmp
from pathlib import Path
from typing import Final

from pydicom.uid import UID

from core.cancellation import NEVER, Cancellation
from core.errors import ReasonCode, StudyRejected
from core.study_warning import StudyWarning
from dicom_io.images.headers.attributes import text, texts, uid
from dicom_io.images.headers.copies import IMAGE_TAGS, changed_tags, counts_more, keywords_of
from dicom_io.images.headers.disk_errors import retry_if_passing
from dicom_io.images.headers.image_classes import IMAGE_CLASSES
from dicom_io.images.headers.instance import BadDicomError, Instance, NotDicomError, read_instance
from dicom_io.images.headers.packed import HeaderPacker
from dicom_io.images.headers.series import Series, unread_sentence
from dicom_io.images.pixels.pixels import same_pixels

_PREAMBLE: Final = 132
"""Bytes before a DICOM file's first element."""


@dataclass(frozen=True)
class SetAside:
    """Files that no volume is made of.

    Attributes
    ----------
    series_uid
        Their series; empty for a file that cannot be read.
    reason
        What they are.
    count
        How many files.
    """

    series_uid: str
    reason: str
    count: int = 1


@dataclass(frozen=True, eq=False)
class Study:
    """The series of one study.

    Attributes
    ----------
    uid
        Study Instance UID; empty where the images have none that is valid.
    series
        Series that hold images, in order of their files.
    set_aside
        What else there was: localizers, other objects, and files and folders that cannot be read (these may belong to
        any study of the folder, so each study names them).
    warnings
        What a person should know of the study as a whole.
    unread
        How many files and folders could not be read; images of the study may be among them.
    """

    uid: str
    series: tuple[Series, ...]
    set_aside: tuple[SetAside, ...] = ()
    warnings: tuple[StudyWarning, ...] = ()
    unread: int = 0


def read_studies(
    folder: Path, on_progress: Callable[[int, int], None] | None = None, cancellation: Cancellation = NEVER
) -> list[Study]:
    """Group every DICOM file below a folder by study and series, reading headers only.

    Files that are not DICOM are skipped, and so is a DICOMDIR.

    Parameters
    ----------
    folder
        It may be nested; links to folders are not followed.
    on_progress
        Called with the number of files looked at and of all files.
    cancellation
        Asked before each file.

    Raises
    ------
    StudyRejected
        ``no_dicom`` if nothing below the folder is a DICOM object.
    RetryLater
        If a disk or share fails, or this process has no file handle left: images of the study would be missing.
    Cancelled
        If the work is cancelled.
    """
    drafts: dict[str, _StudyDraft] = {}
    unreadable: Counter[str] = Counter()
    packer = HeaderPacker()

    def note_folder(error: OSError) -> None:
        retry_if_passing(error)
        unreadable["the folder cannot be opened"] += 1

    paths = list(_files(folder, note_folder))
    for number, path in enumerate(paths, start=1):
        cancellation.raise_if_cancelled()
        try:
            instance = read_instance(path).packed(packer)
        except NotDicomError as error:
            if type(error) is NotDicomError and _may_have_been_an_image(path):
                unreadable["nothing of a DICOM file is left in it"] += 1
        except BadDicomError as error:
            unreadable[str(error)] += 1
        except OSError as error:
            retry_if_passing(error)
            unreadable["the file cannot be opened"] += 1
        else:
            drafts.setdefault(uid(instance.header, "StudyInstanceUID"), _StudyDraft()).add(instance)
        finally:
            if on_progress is not None:
                on_progress(number, len(paths))
    if not drafts:
        detail = f"Files looked at: {len(paths)}. {unread_sentence(unreadable.total())}"
        raise StudyRejected(ReasonCode.NO_DICOM, detail)
    aside = tuple(SetAside("", f"cannot be read: {reason}", count) for reason, count in unreadable.items())
    return [draft.finish(study_uid, aside) for study_uid, draft in drafts.items()]


def _may_have_been_an_image(path: Path) -> bool:
    """Tell whether a full disk or an interrupted copy may have left this of an image: its name, or zeros."""
    if path.name.startswith("."):
        return False
    if path.name.lower().endswith(".dcm"):
        return True
    with suppress(OSError), path.open("rb") as file:
        return file.read(_PREAMBLE) == bytes(_PREAMBLE)
    return False


def _files(folder: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=on_error):
        folders.sort()
        yield from (path for name in sorted(names) if (path := Path(parent, name)).is_file())


class _SeriesDraft:
    def __init__(self) -> None:
        self.by_uid: dict[str, Instance] = {}
        self.nameless: list[Instance] = []
        self.repeats = 0
        self.conflicts: dict[str, None] = {}
        self.words: set[int] = set()

    def add(self, instance: Instance) -> None:
        name = uid(instance.header, "SOPInstanceUID")
        if not name:
            self.nameless.append(instance)
            return
        known = self.by_uid.setdefault(name, instance)
        if known is instance:
            return
        words = changed_words(known, instance)
        if words is None:
            self.conflicts[name] = None
            return
        self.repeats += 1
        self.words |= words
        if words and counts_more(instance.header, known.header):
            self.by_uid[name] = instance


class _StudyDraft:
    def __init__(self) -> None:
        self.series: dict[str, _SeriesDraft] = {}
        self.series_of: dict[str, str] = {}
        self.aside: dict[tuple[str, str], int] = {}

    def add(self, instance: Instance) -> None:
        series_uid = uid(instance.header, "SeriesInstanceUID")
        other = _what_else(instance)
        if other:
            self.aside[series_uid, other] = self.aside.get((series_uid, other), 0) + 1
        else:
            self.series.setdefault(series_uid, _SeriesDraft()).add(instance)
            self._compare_series(uid(instance.header, "SOPInstanceUID"), series_uid)

    def _compare_series(self, name: str, series_uid: str) -> None:
        """Note an image that is of two series: nobody knows which, so that neither can be believed."""
        first = self.series_of.setdefault(name, series_uid) if name else series_uid
        for other in {first, series_uid} if first != series_uid else ():
            self.series[other].conflicts[name] = None

    def finish(self, study_uid: str, unreadable: tuple[SetAside, ...]) -> Study:
        unread = sum(aside.count for aside in unreadable)
        series = tuple(
            Series(
                series_uid,
                (*draft.by_uid.values(), *draft.nameless),
                draft.repeats,
                tuple(draft.conflicts),
                unread,
                keywords_of(draft.words),
            )
            for series_uid, draft in self.series.items()
        )
        aside = tuple(SetAside(series_uid, what, count) for (series_uid, what), count in self.aside.items())
        return Study(study_uid, series, aside + unreadable, unread=unread)


def _what_else(instance: Instance) -> str:
    """Name the kind of an instance that cannot be an image of a volume; empty if it can be one."""
    sop_class = uid(instance.header, "SOPClassUID")
    if sop_class not in IMAGE_CLASSES:
        name = UID(sop_class).name if sop_class else ""
        return name if name and name != sop_class else "an object of unknown SOP class"
    if "LOCALIZER" in (part.upper() for part in texts(instance.header, "ImageType")):
        return "a localizer"
    if text(instance.header, "SamplesPerPixel") not in ("", "1"):
        return "a colour image"
    return ""


def changed_words(first: Instance, second: Instance) -> set[int] | None:
    """Compare two files of one SOP Instance UID.

    Returns
    -------
    set of int or None
        Tags of the attributes that differ, private ones apart; ``None`` if they hold different images: other pixels
        once decoded, or another geometry (``dicom_io.images.headers.copies.IMAGE_KEYWORDS``).
    """
    if cmp(first.path, second.path, shallow=False):
        return set()
    changed = changed_tags(first.header, second.header)
    return None if changed & IMAGE_TAGS or not same_pixels(first, second) else changed
