"""The dates and times that a result carries of its own, in the zone that its inherited ones are in."""

from datetime import datetime, timezone

from pydicom.dataset import Dataset

from dicom_io.images.headers.attributes import text
from dicom_io.images.headers.instants import offset_of

_PAIRS = (
    ("SeriesDate", "SeriesTime"),
    ("ContentDate", "ContentTime"),
    ("InstanceCreationDate", "InstanceCreationTime"),
)


def now() -> datetime:
    """Return the present, in the node's zone."""
    return datetime.now().astimezone()


def set_times(result: Dataset, source: Dataset) -> None:
    """Write a result's own dates and times, in its source's zone where that states a valid one, and that zone.

    Dates and times of patient and study are inherited as they are, so the offset applies to them too; where the source
    states none, all are local times and the result states none.

    Parameters
    ----------
    result
        Gets dates and times of series, content and creation, and of its contributions.
    source
        Header of the image that the result inherits from.
    """
    offset = offset_of(text(source, "TimezoneOffsetFromUTC"))
    moment = now() if offset is None else now().astimezone(timezone(offset))
    for date, time in _PAIRS:
        setattr(result, date, moment.strftime("%Y%m%d"))
        setattr(result, time, moment.strftime("%H%M%S"))
    for item in result.get("ContributingEquipmentSequence", ()):
        if "ContributionDateTime" in item:
            item.ContributionDateTime = moment.strftime("%Y%m%d%H%M%S") + _stated(moment)
    if offset is not None:
        result.TimezoneOffsetFromUTC = _stated(moment)


def _stated(moment: datetime) -> str:
    return moment.strftime("%z")[:5]
