"""The words of a series on patient and study: which image speaks for all of them, and what deserves a warning."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from core.study_warning import StudyWarning, WarningCode
from dicom_io.images.headers.attributes import tag_of
from dicom_io.images.headers.copies import is_same_value, keywords_of
from dicom_io.results.source_attributes import Inherited, inherit
from dicom_io.results.source_modules import TYPES

_TAGS = tuple(map(tag_of, TYPES))

MAX_OPINIONS = 20
"""Different ones that are counted; more are no agreement anyway."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """The words of a series on patient and study.

    Attributes
    ----------
    speaker
        Header of the image that speaks for all.
    inherited
        What results take over from it.
    differing
        Tags of the inherited attributes in which the images differ.
    """

    speaker: Dataset
    inherited: Inherited
    differing: frozenset[int]

    def warnings(self, series_uid: str | None = None) -> tuple[StudyWarning, ...]:
        """Tell what is too long, left out, missing or not the same in all images, by keywords alone."""
        found = (
            (WarningCode.INHERITED_TOO_LONG, set(map(tag_of, self.inherited.too_long))),
            (WarningCode.INHERITED_LEFT_OUT, set(map(tag_of, self.inherited.left_out))),
            (WarningCode.INHERITED_INCOMPLETE, set(map(tag_of, self.inherited.missing))),
            (WarningCode.INHERITED_DIFFERS, set(self.differing)),
        )
        return tuple(StudyWarning(code, f"They are: {keywords_of(tags)}.", series_uid) for code, tags in found if tags)


def agree(headers: Sequence[Dataset]) -> Agreement:
    """Find the image that says what most images say; of as many, the one that comes first.

    Words of several images are never mixed: an issuer belongs to its identifier. That all are of one patient was
    checked before (``dicom_io.images.grid.geometry``).

    Parameters
    ----------
    headers
        Of the images of one series, in order of their slices; at least one.
    """
    opinions: list[Dataset] = []
    votes: Counter[int] = Counter()
    differing: set[int] = set()
    tags: list[int] = list(_TAGS)
    for header in headers:
        number = next((n for n, known in enumerate(opinions) if _agree(known, header, tags)), len(opinions))
        if number == len(opinions) and number < MAX_OPINIONS:
            opinions.append(header)
            differing.update(_differing(opinions[0], header, _TAGS))
            tags.sort(key=lambda tag: tag not in differing)  # those that tell two images apart at once
        votes[number] += number < len(opinions)
    speaker = opinions[max(range(len(opinions)), key=lambda number: (votes[number], -number))]
    return Agreement(speaker, inherit(speaker), frozenset(differing))


def _agree(first: Dataset, second: Dataset, tags: Iterable[int]) -> bool:
    return next(_differing(first, second, tags), None) is None


def _differing(first: Dataset, second: Dataset, tags: Iterable[int]) -> Iterator[int]:
    """Yield the attributes in which two headers differ; empty and absent is the same."""
    for tag in tags:
        if (tag in first or tag in second) and not is_same_value(first, second, tag) and _said(first, second, tag):
            yield int(tag)


def _said(first: Dataset, second: Dataset, tag: int) -> bool:
    return any(tag in header and not header[tag].is_empty for header in (first, second))
