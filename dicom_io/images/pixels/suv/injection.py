"""The injected dose and its decay up to a moment of the scan."""

from datetime import timedelta

from dicom_io.images.headers.instants import Instant, instant_of, instant_of_date_time
from dicom_io.images.pixels.suv.pet_header import Isotope, PetSeries
from dicom_io.images.pixels.suv.radionuclides import radionuclide_of
from dicom_io.images.pixels.suv.refusal import no_suv

SMALLEST_DOSE, LARGEST_DOSE = 1e6, 1e10
"""In Bq. Patients get a few MBq to a few GBq; a dose in MBq, kBq, mCi or µCi is below."""

SHORTEST_HALF_LIFE, LONGEST_HALF_LIFE = 1.0, 1e9
"""In seconds: a second, and thirty years."""

HALF_LIFE_TOLERANCE = 0.03
"""Share by which scanners' tables differ from each other; no two radionuclides that are mistaken for each other, and no
half-life in minutes, come near it."""

MOST_HALF_LIVES = 10

LONGEST_HALF_LIFE_WITHOUT_DATE = 41400.0
"""In seconds. Above half a day, less one, a time without its date may be of any day (IBSI)."""

LARGEST_SHARE_UNCERTAIN = 0.05
"""Share of the dose that times may leave open which are stated to the minute or the hour."""

_DAY, _HALF_DAY = timedelta(days=1), timedelta(hours=12)


def the_isotope(series: PetSeries) -> Isotope:
    """Return the one radiopharmaceutical.

    Raises
    ------
    StudyRejected
        ``no_suv`` if there is none or several: the activity of one image is not told apart by them.
    """
    found = series.RadiopharmaceuticalInformationSequence
    if len(found) != 1:
        raise no_suv(
            "RadiopharmaceuticalInformationSequence", f"names {len(found)} radiopharmaceuticals; expected exactly one"
        )
    return found[0]


def dose_of(isotope: Isotope) -> float:
    """Return the injected dose in Bq.

    Raises
    ------
    StudyRejected
        ``no_suv`` if it is missing or no patient's.
    """
    dose = isotope.RadionuclideTotalDose
    if dose is None:
        raise no_suv("RadionuclideTotalDose", "is missing or no number")
    if not SMALLEST_DOSE <= dose <= LARGEST_DOSE:
        raise no_suv("RadionuclideTotalDose", f"is {dose:g} Bq; expected 1 MBq to 10 GBq, written in Bq")
    return dose


def half_life_of(isotope: Isotope) -> float | None:
    """Return the half-life in seconds, ``None`` if it is unstated.

    Raises
    ------
    StudyRejected
        ``no_suv`` if it is impossible, or not the Radionuclide Code's.
    """
    half_life = isotope.RadionuclideHalfLife
    if half_life is None:
        return None
    if not SHORTEST_HALF_LIFE <= half_life <= LONGEST_HALF_LIFE:
        raise no_suv("RadionuclideHalfLife", f"is {half_life:g}; expected seconds")
    nuclide = radionuclide_of(*isotope.RadionuclideCode)
    if nuclide is not None and abs(half_life / nuclide.half_life - 1) > HALF_LIFE_TOLERANCE:
        raise no_suv(
            "RadionuclideHalfLife",
            f"is {half_life:g} s, but Radionuclide Code says {nuclide.name}; expected {nuclide.half_life:g} s",
        )
    return half_life


def states_injection(isotope: Isotope, half_life: float) -> bool:
    """Tell whether the headers say when the injection was, its day included."""
    if isotope.RadiopharmaceuticalStartDateTime:
        return True
    return bool(isotope.RadiopharmaceuticalStartTime) and half_life <= LONGEST_HALF_LIFE_WITHOUT_DATE


def stated_times_differ(isotope: Isotope) -> bool:
    """Tell whether Radiopharmaceutical Start DateTime and Start Time are both stated and more than a minute apart."""
    local = isotope.RadiopharmaceuticalStartDateTime.partition("+")[0].partition("-")[0]
    first = instant_of_date_time(local, None)
    second = instant_of(local[:8], isotope.RadiopharmaceuticalStartTime, None)
    if first is None or second is None:
        return False
    return abs((first.moment - second.moment).total_seconds()) > max(60.0, first.resolution, second.resolution)


def injected_at(isotope: Isotope, scan: Instant, zone: timedelta | None, half_life: float) -> Instant:
    """Return when the radiopharmaceutical was injected.

    Radiopharmaceutical Start DateTime counts. Start Time has no date: it is the scan's, or of two days the nearer one,
    where the scan follows midnight.

    Parameters
    ----------
    isotope
        The radiopharmaceutical.
    scan
        The scan's reference time.
    zone
        Offset of the series' times from UTC, if it is known.
    half_life
        In seconds.

    Raises
    ------
    StudyRejected
        ``no_suv`` if neither is stated, or only a time where the half-life is too long to infer the date.
    """
    if isotope.RadiopharmaceuticalStartDateTime:
        stated = instant_of_date_time(isotope.RadiopharmaceuticalStartDateTime, zone)
        if stated is None:
            raise no_suv("RadiopharmaceuticalStartDateTime", "is no date and time")
        return stated
    if not isotope.RadiopharmaceuticalStartTime:
        raise no_suv("RadiopharmaceuticalStartDateTime", "and Radiopharmaceutical Start Time are missing")
    if half_life > LONGEST_HALF_LIFE_WITHOUT_DATE:
        raise no_suv(
            "RadiopharmaceuticalStartDateTime",
            f"is missing; at a half-life of {half_life / 3600:.1f} h the time alone leaves the day open",
        )
    day = (scan.moment + (zone or timedelta(0))).strftime("%Y%m%d")
    same_day = instant_of(day, isotope.RadiopharmaceuticalStartTime, zone)
    if same_day is None:
        raise no_suv("RadiopharmaceuticalStartTime", "is no time")
    if same_day.moment - scan.moment > _HALF_DAY:
        return Instant(same_day.moment - _DAY, same_day.resolution, same_day.zoned)
    return same_day


def uptake_seconds(injection: Instant, scan: Instant, half_life: float) -> float:
    """Return the time from injection to scan in seconds.

    Raises
    ------
    StudyRejected
        ``no_suv`` if one has a time zone and the other has none, if the injection is after the scan or more than
        ``MOST_HALF_LIVES`` before it, or if the times are too coarse.
    """
    what = "RadiopharmaceuticalStartDateTime"
    if injection.zoned != scan.zoned:
        raise no_suv("TimezoneOffsetFromUTC", "is missing, but one of the times has an offset from UTC of its own")
    seconds = (scan.moment - injection.moment).total_seconds()
    if seconds < 0:
        raise no_suv(what, f"or Start Time is {-seconds / 60:.1f} min after the scan's reference time")
    if seconds > MOST_HALF_LIVES * half_life:
        raise no_suv(
            what,
            f"or Start Time is {seconds / half_life:.1f} half-lives before the scan; expected 0 to {MOST_HALF_LIVES}",
        )
    if 1 - 2 ** (-(injection.resolution + scan.resolution) / half_life) > LARGEST_SHARE_UNCERTAIN:
        raise no_suv(
            what, "or the time of the scan is too coarse for the half-life; expected hours, minutes and seconds"
        )
    return seconds
