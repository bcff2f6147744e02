"""The scan's reference time: the moment to which images with Decay Correction START are decay corrected.

References
----------
PS3.3 C.8.9.1.1.5 (Decay Correction), C.8.9.4.1.5 (Frame Reference Time, with the formula of the average activity);
QIBA, vendor-neutral pseudo-code for SUV calculation, 2018; IBSI, SUV computation (Vácha et al.).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from dicom_io.images.headers.instants import Instant
from dicom_io.images.headers.private import GE_SCAN_TIME
from dicom_io.images.pixels.suv.pet_header import PetImage, PetSeries
from dicom_io.images.pixels.suv.refusal import RESEND, no_suv

LONGEST_FRAME_MS = 7 * 86400e3
"""A week; no frame lasts or lies so long after the start of its scan."""

LARGEST_SPREAD_SECONDS = 2.0
LARGEST_SPREAD = 0.001
"""Times and frames of one scan lead each back to one start: within two seconds, which rounding makes of them, or within
this share of the dose."""


@dataclass(frozen=True)
class ScanTime:
    """The reference time.

    Attributes
    ----------
    instant
        The moment.
    is_series_time
        Whether it is Series Date and Time.
    """

    instant: Instant
    is_series_time: bool


def scan_time(series: PetSeries, images: Sequence[PetImage], half_life: float) -> ScanTime:
    """Find the reference time.

    Series Date and Time count where they are not later than the earliest acquisition: software that makes a series
    anew, and some archives, write the time at which they did so. Then GE's private scan time counts, else the start
    that acquisition time, Frame Reference Time and Actual Frame Duration lead back to.

    Parameters
    ----------
    series, images
        Of one series.
    half_life
        In seconds.

    Raises
    ------
    StudyRejected
        ``no_suv`` if none of them tells it.
    """
    earliest = earliest_acquisition(images)
    start = series.start
    if start is not None and earliest is not None and not _is_later(start, earliest):
        return ScanTime(start, is_series_time=True)
    if any(image.has_ge_scan_time for image in images):
        return ScanTime(_ge_time(images, earliest), is_series_time=False)
    return ScanTime(frame_start(images, half_life), is_series_time=False)


def earliest_acquisition(images: Sequence[PetImage]) -> Instant | None:
    """Return the earliest Acquisition Date and Time; ``None`` unless every image states its own."""
    acquired = [image.acquisition for image in images if image.acquisition is not None]
    return min(acquired, key=lambda instant: instant.moment) if len(acquired) == len(images) else None


def frame_start(images: Sequence[PetImage], half_life: float) -> Instant:
    """Return the start of the scan that the frames lead back to.

    Frame Reference Time is the offset of the frame's average activity from the start of the scan. Within the frame,
    whose start is the acquisition time, the activity is average before its middle, since it decays.

    Raises
    ------
    StudyRejected
        ``no_suv`` if an image lacks one of the three, if they lead to different starts, or to one after the first
        acquisition.
    """
    earliest = earliest_acquisition(images)
    if earliest is None:
        raise no_suv(
            "AcquisitionTime", "or its date is missing or malformed, and it is needed to find the scan's start"
        )
    offsets = []
    for image in images:
        reference = _milliseconds("FrameReferenceTime", image.FrameReferenceTime)
        average = average_activity_seconds(_milliseconds("ActualFrameDuration", image.ActualFrameDuration), half_life)
        assert image.acquisition is not None  # noqa: S101  (else there is no earliest)
        offsets.append((image.acquisition.moment - earliest.moment).total_seconds() + average - reference)
    start = median(offsets)
    tolerance = max(LARGEST_SPREAD_SECONDS, LARGEST_SPREAD * half_life / math.log(2))
    spread = max(abs(offset - start) for offset in offsets)
    if spread > tolerance:
        raise no_suv(
            "FrameReferenceTime", f"leads to starts of the scan that lie up to {spread:.0f} s apart", _NO_START
        )
    if start > tolerance:
        raise no_suv("FrameReferenceTime", "leads to a start of the scan after its first image", _NO_START)
    resolution = max(image.acquisition.resolution for image in images if image.acquisition is not None)
    return Instant(earliest.moment + timedelta(seconds=start), resolution, earliest.zoned)


def average_activity_seconds(duration: float, half_life: float) -> float:
    """Return when within a frame its activity is average (PS3.3 C.8.9.4.1.5), in seconds from the frame's start.

    Parameters
    ----------
    duration, half_life
        In seconds, positive.
    """
    decay_constant = math.log(2) / half_life
    during_frame = decay_constant * duration
    return math.log(during_frame / -math.expm1(-during_frame)) / decay_constant


_NO_START = f"Series Date and Time do not tell it either: they are missing, or later than an acquisition. {RESEND}"


def _is_later(start: Instant, acquisition: Instant) -> bool:
    """Tell whether a start is later than an acquisition that may be stated more coarsely."""
    later = (start.moment - acquisition.moment).total_seconds()
    return later > 0 and later >= acquisition.resolution


def _ge_time(images: Sequence[PetImage], earliest: Instant | None) -> Instant:
    found = {image.ge_scan_time for image in images}
    time = found.pop()
    if found or time is None:
        raise no_suv(GE_SCAN_TIME.name, "is malformed, or differs between images of the series")
    if earliest is not None and time.zoned == earliest.zoned and _is_later(time, earliest):
        raise no_suv(GE_SCAN_TIME.name, "is later than the first Acquisition Time")
    return time


def _milliseconds(keyword: str, value: float | None) -> float:
    """Return a stated time in seconds."""
    if value is None:
        raise no_suv(keyword, "is missing or no number, and is needed to find the scan's start", _NO_START)
    if not 0 < value <= LONGEST_FRAME_MS:
        raise no_suv(keyword, f"is {value:g} ms; expected more than 0 and at most a week", _NO_START)
    return value / 1000
