"""The attributes that tell one acquisition or reconstruction from another, frame by frame.

Two echoes, two energies or two kernels whose slices interleave are regular in space and no volume: every second slice
shows other values. A value that a scanner modulates while it scans (tube current, exposure) is ordinary and not looked
at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom_io.images.grid.frame_unit import image_type_of
from dicom_io.images.headers.attributes import macro, number, text, texts

RELATIVE_TOLERANCE = 0.01
"""Largest relative difference at which two echo times or voltages are one: some devices state them as measured."""

_FRAME_TYPE_VALUES = 3
"""Pixel data, patient examination, and kind; what follows are the vendor's words about processing."""


@dataclass(frozen=True)
class Acquisition:
    """Acquisition and reconstruction of a frame; a field that its header does not state is empty or ``None``.

    Attributes
    ----------
    texts
        Frame Type (or Image Type), Stack ID, temporal position, photometric interpretation and convolution kernel.
    echo_time, voltage
        In ms and kV.
    number
        Acquisition Number.
    """

    texts: tuple[str, ...]
    echo_time: float | None
    voltage: float | None
    number: str


_TEXTS = ("ImageType", "StackID", "TemporalPositionIndex", "PhotometricInterpretation", "ConvolutionKernel")


def acquisition_of(header: Dataset, places: tuple[Dataset, ...]) -> Acquisition:
    """Read how one frame was acquired.

    Parameters
    ----------
    header
        Of the instance.
    places
        Functional groups of the frame, its own before the shared ones; none for a classic image.
    """
    photometry = text(header, "PhotometricInterpretation")
    if not places:
        return Acquisition(
            (
                _kind(texts(header, "ImageType")),
                "",
                text(header, "TemporalPositionIdentifier"),
                photometry,
                text(header, "ConvolutionKernel"),
            ),
            number(header, "EchoTime"),
            number(header, "KVP"),
            text(header, "AcquisitionNumber"),
        )
    content = macro(header, places, "FrameContentSequence")
    return Acquisition(
        (
            _kind(image_type_of(header, places)),
            text(content, "StackID"),
            text(content, "TemporalPositionIndex"),
            photometry,
            text(macro(header, places, "CTReconstructionSequence"), "ConvolutionKernel"),
        ),
        number(macro(header, places, "MREchoSequence"), "EffectiveEchoTime"),
        number(macro(header, places, "CTXRayDetailsSequence"), "KVP"),
        text(content, "FrameAcquisitionNumber"),
    )


def _kind(values: Sequence[str]) -> str:
    return "\\".join(values[:_FRAME_TYPE_VALUES]).upper()


def mixed_attributes(acquisitions: Sequence[Acquisition], order: NDArray[np.intp]) -> list[str]:
    """Return the keywords in which the frames of a series differ; none if they are of one acquisition.

    Parameters
    ----------
    acquisitions
        One a frame.
    order
        Index of each slice, ascending along the stack. Blocks of slices that follow each other with acquisition numbers
        of their own are ordinary (stations of a table); numbers that alternate are not.
    """
    mixed = [
        keyword
        for keyword, values in zip(_TEXTS, zip(*(a.texts for a in acquisitions), strict=True), strict=True)
        if len(set(values)) > 1
    ]
    for keyword, numbers in (
        ("EchoTime", [a.echo_time for a in acquisitions]),
        ("KVP", [a.voltage for a in acquisitions]),
    ):
        if _differ(numbers):
            mixed.append(keyword)
    sorted_numbers = [acquisitions[index].number for index in order]
    blocks = 1 + sum(a != b for a, b in pairwise(sorted_numbers))
    if blocks > len(set(sorted_numbers)):
        mixed.append("AcquisitionNumber")
    return mixed


def _differ(numbers: Sequence[float | None]) -> bool:
    stated = [value for value in numbers if value is not None]
    if not stated:
        return False
    low, high = min(stated), max(stated)
    return len(stated) < len(numbers) or high - low > RELATIVE_TOLERANCE * max(abs(low), abs(high))
