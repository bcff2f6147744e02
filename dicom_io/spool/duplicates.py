"""The relation of an image that came again under one SOP Instance UID to the one that is here."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from core.errors import StudyRejected
from dicom_io.elements import ElementsError
from dicom_io.images.headers.copies import IMAGE_TAGS, counts_more, keywords_of
from dicom_io.images.headers.part10 import read_head
from dicom_io.images.pixels.pixel_layout import read_layout
from dicom_io.images.pixels.pixels import same_pixels
from dicom_io.spool.fingerprint import Fingerprint, read_fingerprint

_SAME_PIXELS = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian})
"""Transfer syntaxes that write pixels in one and the same way."""

MAX_DECODED_BYTES = 2**26
"""Largest image that is decoded to be compared; larger ones are other images unless their bytes are the same."""

_CHUNK = 2**20

MAX_DECODED_FRAMES = 10_000
"""Each costs, however small it says that it is."""


class Relation(StrEnum):
    """The relation of a newer file to an older one."""

    SAME = "same"
    DESCRIPTION = "description"
    IMAGE = "image"


@dataclass(frozen=True)
class Comparison:
    """The outcome of comparing two files of one SOP Instance UID.

    Attributes
    ----------
    relation
        Of the newer file to the older one.
    words
        Keywords of the attributes that differ, as a list for a person, where only the description does.
    newer_counts
        Whether the newer file's description counts.
    """

    relation: Relation
    words: str = ""
    newer_counts: bool = True


def same_object(first: Path, second: Path) -> bool:
    """Return whether two files hold the same bytes in the same transfer syntax.

    Their heads are left out: they say which version of this program received them, not what was sent.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    with first.open("rb") as one, second.open("rb") as other:
        try:
            if read_head(one) != read_head(other):
                return False
        except ElementsError:  # not written by this program: then all of it counts
            one.seek(0)
            other.seek(0)
        return all(piece == its for piece, its in zip_longest(_pieces(one), _pieces(other)))


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_CHUNK):
        yield piece


def compare(older: Path, newer: Path) -> Comparison:
    """Compare two files of one SOP Instance UID.

    Parameters
    ----------
    older, newer
        The files. A file that cannot be read as DICOM is another image unless its data set's bytes are the same.

    Returns
    -------
    Comparison
        ``same`` for the same bytes after the head, or the same attributes and pixels in another transfer syntax
        (private attributes, of which not every syntax tells the type, are then left out); ``description`` where what
        differs is neither geometry nor pixels; otherwise ``image``.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    if same_object(older, newer):
        return Comparison(Relation.SAME)
    try:
        first, second = read_fingerprint(older), read_fingerprint(newer)
        changed = first.changed(second)
        if changed & IMAGE_TAGS or not (_same_pixel_bytes(first, second) or _same_decoded(first, second)):
            return Comparison(Relation.IMAGE)
    except ElementsError:
        return Comparison(Relation.IMAGE)
    if not changed and first.instance.transfer_syntax != second.instance.transfer_syntax:
        return Comparison(Relation.SAME)
    newer_counts = counts_more(second.instance.header, first.instance.header)
    return Comparison(Relation.DESCRIPTION, keywords_of(changed) or "private attributes or overlays", newer_counts)


def _same_pixel_bytes(first: Fingerprint, second: Fingerprint) -> bool:
    """Return whether the pixels are the same without decoding, as they are when only a header was corrected."""
    syntaxes = {first.instance.transfer_syntax, second.instance.transfer_syntax}
    if len(syntaxes) > 1 and not syntaxes <= _SAME_PIXELS:
        return False
    if first.pixels_at is None or second.pixels_at is None:
        return first.pixels_at is second.pixels_at
    return all(one == other for one, other in zip_longest(first.pixels(), second.pixels()))


def _same_decoded(first: Fingerprint, second: Fingerprint) -> bool:
    """Return whether the pixels are the same once decoded; False for large images, which are not decoded."""
    try:
        layout = read_layout(first.instance)
    except StudyRejected:
        return False
    sizes = [layout.frames * layout.frame_bytes, *(one.instance.path.stat().st_size for one in (first, second))]
    is_small = layout.frames <= MAX_DECODED_FRAMES and max(sizes) <= MAX_DECODED_BYTES
    return is_small and same_pixels(first.instance, second.instance)
