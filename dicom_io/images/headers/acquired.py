"""The moment at which an image or a frame was acquired."""

from datetime import date

from pydicom.dataset import Dataset

from dicom_io.images.headers.attributes import macro, text
from dicom_io.images.headers.series import Places

_SECONDS_A_DAY = 86400.0


def acquired_at(header: Dataset, places: Places) -> float | None:
    """Return the start of an acquisition in seconds since year 1, on a clock that all series share.

    Parameters
    ----------
    header
        Of the instance.
    places
        Functional groups of the frame, its own before the shared ones; none for a classic image.
    """
    moment = text(header, "AcquisitionDateTime")
    if places and (of_frame := text(macro(header, places, "FrameContentSequence"), "FrameAcquisitionDateTime")):
        moment = of_frame
    day, clock = (
        (moment[:8], moment[8:]) if moment else (text(header, "AcquisitionDate"), text(header, "AcquisitionTime"))
    )
    clock = clock.split("+")[0].split("-")[0]
    try:
        days = date(int(day[:4]), int(day[4:6]), int(day[6:8])).toordinal()
        seconds = int(clock[:2]) * 3600 + int(clock[2:4] or 0) * 60 + float(clock[4:] or 0)
    except ValueError:
        return None
    return days * _SECONDS_A_DAY + seconds
