"""The number of images of a study that were received, and the number that their headers state."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from pydicom.dataset import Dataset

from dicom_io.images.headers.attributes import text, uid
from dicom_io.images.headers.facts import SeriesFacts, facts_of
from dicom_io.images.headers.instance import BadDicomError, NotDicomError, read_instance

CountKeyword = Literal["NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances", "ImagesInAcquisition"]
"""Attributes that state a number: objects of the study (0020,1208) or series (0020,1209), images of the
acquisition (0020,1002)."""


@dataclass(frozen=True)
class _Image:
    series: str
    acquisition: str
    said: Mapping[str, int] = field(default_factory=dict)


class ImageCount:
    """The images of one folder, each header read once."""

    def __init__(self) -> None:
        self._images: dict[str, _Image] = {}
        self._facts: dict[str, SeriesFacts] = {}

    def update(self, folder: Path) -> None:
        """Read the images received since the last call; a damaged image is known by its name only.

        Raises
        ------
        OSError
            If a file cannot be read.
        """
        for path in sorted(folder.iterdir()):
            if path.stem in self._images:
                continue
            try:
                header = read_instance(path).header
            except (NotDicomError, BadDicomError):
                self._images[path.stem] = _Image("", "")
                continue
            series = uid(header, "SeriesInstanceUID")
            self._images[path.stem] = _Image(series, text(header, "AcquisitionNumber"), _said(header))
            self._facts.setdefault(series, facts_of(header))

    @property
    def series(self) -> list[SeriesFacts]:
        """Return the facts of each series, in order of reception."""
        return list(self._facts.values())

    @property
    def names(self) -> frozenset[str]:
        """Names of the images' files, without extension."""
        return frozenset(self._images)

    @property
    def images_by_series(self) -> Mapping[str, int]:
        """Number of images by Series Instance UID."""
        return Counter(image.series for image in self._images.values() if image.series)

    def has_all(self, keyword: CountKeyword, objects_beside: int) -> bool:
        """Tell whether each group of images that the attribute counts is complete.

        Parameters
        ----------
        keyword
            The attribute. If images of a group differ, the largest number counts; if none states one, it is unknown,
            and the group does not count as complete.
        objects_beside
            Number of received objects of the study that are not images; the study's number counts them too.
        """
        come, said = self._groups(keyword, objects_beside)
        return bool(come) and all(0 < said[one] <= number for one, number in come.items())

    def lacks(self, keyword: CountKeyword, objects_beside: int) -> bool:
        """Tell whether the images state a larger number than were received."""
        come, said = self._groups(keyword, objects_beside)
        return any(said[one] > number for one, number in come.items())

    def _groups(self, keyword: CountKeyword, objects_beside: int) -> tuple[Counter[object], dict[object, int]]:
        """Return the received and the stated number of each group."""
        group = _GROUPS[keyword]
        come: Counter[object] = Counter()
        said: dict[object, int] = {}
        for image in self._images.values():
            come[group(image)] += 1
            said[group(image)] = max(said.get(group(image), 0), image.said.get(keyword, 0))
        if keyword == "NumberOfStudyRelatedInstances" and come:
            come[()] += objects_beside
        return come, said


_GROUPS: Mapping[CountKeyword, Callable[[_Image], object]] = {
    "NumberOfStudyRelatedInstances": lambda image: (),
    "NumberOfSeriesRelatedInstances": lambda image: image.series,
    "ImagesInAcquisition": lambda image: (image.series, image.acquisition),
}


def _said(header: Dataset) -> dict[str, int]:
    said = {keyword: text(header, keyword) for keyword in get_args(CountKeyword)}
    return {keyword: int(value) for keyword, value in said.items() if value.isascii() and value.isdigit()}
