"""Made series that hold several volumes, by headers alone or as files."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_io.images.headers.instance import Instance
from dicom_io.images.headers.series import Series
from dicom_io.images.splitting.volumes import Split, split_of
from phantom.series import make_series
from phantom.tags import Encoding, SeriesTags, StudyTags, made_uid
from tests.support.series_helpers import phantom

Tags = Mapping[str, Any]


@cache
def _template(modality: str) -> Dataset:
    """Return the first image of a made series, as from a file; pixels are those of its place whatever becomes of it."""
    (first, *_) = make_series(phantom(modality=modality), study=StudyTags(), series=SeriesTags(), encoding=Encoding())  # type: ignore[arg-type]
    written = BytesIO()
    first.save_as(written, enforce_file_format=True)
    written.seek(0)
    return dcmread(written)


def _copy(template: Dataset) -> Dataset:
    """Copy a data set as it was read: a raw element is shared, since what is set or converted replaces it."""
    made = Dataset(dict(template.items()))
    made.set_original_encoding(*template.original_encoding, template.original_character_set)
    made.file_meta = deepcopy(template.file_meta)
    return made


def stack(
    name: object, heights: Sequence[float], *, modality: str = "MR", first: int = 1, **tags: Any
) -> list[Dataset]:
    """Make axial images at heights in mm; a tag may be a function of the slice's number, from 0."""
    made = []
    for number, height in enumerate(heights):
        image = _copy(_template(modality))
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = made_uid("volumes", name, number)
        image.InstanceNumber = first + number
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        image.ImagePositionPatient = [0, 0, height]
        for keyword, value in tags.items():
            setattr(image, keyword, value(number) if callable(value) else value)
        made.append(image)
    return made


def of_plane(images: list[Dataset], orientation: Sequence[float]) -> list[Dataset]:
    """Turn axial images into those of another plane, at the same distances along its normal."""
    normal = np.cross(orientation[:3], orientation[3:])
    for image in images:
        image.ImagePositionPatient = [round(float(x), 6) for x in normal * float(image.ImagePositionPatient[2])]
        image.ImageOrientationPatient = list(orientation)
    return images


def private(group: int, creator: str, offset: int, vr: str) -> Callable[[Dataset, Any], None]:
    """Return what writes a private element under its creator."""

    def write(image: Dataset, value: Any) -> None:
        image.private_block(group, creator, create=True).add_new(offset, vr, value)

    return write


def series_of(*stacks: Sequence[Dataset]) -> Series:
    """Make a series of headers, without a file."""
    headers = [image for images in stacks for image in images]
    return Series("1.2.3", tuple(Instance(Path(), header, None) for header in headers))


def names(split: Split) -> list[str]:
    """Return what the volumes are called; the whole series has no name."""
    return [volume.part.words if volume.part is not None else "" for volume in split.volumes]


def names_of(*stacks: Sequence[Dataset]) -> list[str]:
    """Take a series apart, and return what its volumes are called."""
    return names(split_of(series_of(*stacks)))


def uids_of(series: Series) -> list[str]:
    """Return the SOP Instance UIDs of a volume."""
    return [str(instance.header.SOPInstanceUID) for instance in series.instances]


def multi_frame(*volumes: Mapping[str, Any], modality: str = "MR", dimension: int | None = None) -> Dataset:
    """Make one enhanced image whose frames are of several volumes, slice by slice in turns.

    Parameters
    ----------
    volumes
        For each volume its own functional groups: sequences by keyword, each of one item.
    dimension
        Tag of a further dimension, whose index is the number of the volume.

    Returns
    -------
    Dataset
        Pixels of volume n are n.
    """
    (image,) = make_series(phantom(modality=modality), encoding=Encoding(enhanced=True))  # type: ignore[arg-type]
    slices = list(image.PerFrameFunctionalGroupsSequence)
    frames, pixels = [], []
    for groups in slices:
        for number, own in enumerate(volumes):
            frame = deepcopy(groups)
            for keyword, tags in own.items():
                item = Dataset()
                for name, value in tags.items():
                    setattr(item, name, value)
                if keyword == "FrameContentSequence":
                    frame.FrameContentSequence[0].update(item)
                else:
                    setattr(frame, keyword, [item])
            if dimension is not None:
                content = frame.FrameContentSequence[0]
                content.DimensionIndexValues = [content.InStackPositionNumber, number + 1]
            frames.append(frame)
            pixels.append(np.full((image.Rows, image.Columns), number, "<i2"))
    if dimension is not None:
        second = deepcopy(image.DimensionIndexSequence[0])
        second.DimensionIndexPointer = dimension
        image.DimensionIndexSequence.append(second)
    image.PerFrameFunctionalGroupsSequence = frames
    image.NumberOfFrames = len(frames)
    image.PixelData = np.stack(pixels).tobytes()
    return image
