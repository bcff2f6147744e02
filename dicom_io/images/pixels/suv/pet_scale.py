"""The factor that turns the rescaled values of each PET image into the unit that a model was trained on.

References
----------
PS3.3 C.8.9 (PET modules); QIBA, vendor-neutral pseudo-code for SUV calculation, 2018; IBSI, SUV computation (Vácha et
al.). ``docs/suv.md`` says where these and other programs differ.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum

from pydicom.dataset import Dataset

from core.errors import StudyRejected
from core.study_warning import StudyWarning, WarningCode
from dicom_io.images.headers.attributes import uid
from dicom_io.images.headers.private import PHILIPS_ACTIVITY_FACTOR, PHILIPS_SUV_FACTOR, PrivateElement
from dicom_io.images.pixels.suv.body import body_weight, lean_body_mass_james, lean_body_mass_janmahasatian
from dicom_io.images.pixels.suv.injection import (
    dose_of,
    half_life_of,
    injected_at,
    stated_times_differ,
    states_injection,
    the_isotope,
    uptake_seconds,
)
from dicom_io.images.pixels.suv.pet_header import Isotope, PetImage, PetSeries, read_pet_images, read_pet_series
from dicom_io.images.pixels.suv.radionuclides import radionuclide_of
from dicom_io.images.pixels.suv.refusal import no_suv
from dicom_io.images.pixels.suv.scan_time import ScanTime, earliest_acquisition, frame_start, scan_time


class PetUnit(StrEnum):
    """The units that a model of PET can be trained on; the three of SUL end with DICOM's term for their SUV Type."""

    SUV_BW = "SUVbw"
    SUL_LBM = "SUL_LBM"
    SUL_LBMJAMES128 = "SUL_LBMJAMES128"
    SUL_LBMJANMA = "SUL_LBMJANMA"
    BQML = "BQML"


@dataclass(frozen=True)
class PetScale:
    """The way from rescaled values to a unit.

    Attributes
    ----------
    factors
        One an image, in order of the headers: ``value = (stored * slope + intercept) * factor``.
    warnings
        Code ``suv_unsure``: findings that a person should know of.
    """

    factors: tuple[float, ...]
    warnings: tuple[StudyWarning, ...] = ()


STATED_TYPES: Mapping[PetUnit, tuple[str, ...]] = {
    PetUnit.SUV_BW: ("", "BW"),
    PetUnit.SUL_LBM: ("LBM",),
    PetUnit.SUL_LBMJAMES128: ("LBMJAMES128",),
    PetUnit.SUL_LBMJANMA: ("LBMJANMA",),
}
"""SUV Types of a series in GML that has the unit already; one without any is in SUVbw (PS3.3 C.8.9.1.1)."""

_MASSES: Mapping[PetUnit, Callable[[PetSeries], float]] = {
    PetUnit.SUV_BW: body_weight,
    PetUnit.SUL_LBMJAMES128: lean_body_mass_james,
    PetUnit.SUL_LBMJANMA: lean_body_mass_janmahasatian,
}
"""The mass in g that a unit normalises by. Of SUV Type LBM the formula is not known."""

SMALLEST_FACTOR, LARGEST_FACTOR = 1e-12, 1e12
"""Of a vendor's own factors; beyond, float32 would overflow."""

LARGEST_DISAGREEMENT = 0.05
"""Share of the dose by which two ways to the same time may differ without a warning."""

_KNOWN_TYPES = ("BW", "BSA", "LBM", "LBMJAMES128", "LBMJANMA", "IBW")
"""The terms of PS3.3; others may be anything, and are not quoted."""

_ATTENUATION, _DECAY = "ATTN", "DECY"
_FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_OTHER_SERIES = "Choose a series in that unit, or one in Bq/ml, of which it can be computed."


def pet_scale(headers: Sequence[Dataset], unit: PetUnit) -> PetScale:
    """Find the factor of each image of a PET series.

    Parameters
    ----------
    headers
        Of all images of one series, in any order, as ``dicom_io.images.headers.instance`` reads them; at least one.
    unit
        What the values are to be in.

    Raises
    ------
    StudyRejected
        ``no_suv`` with the series, the attribute that is at fault and what to do.
    """
    series_uid = uid(headers[0], "SeriesInstanceUID") or None
    try:
        scale = _scale(headers, unit)
    except StudyRejected as error:
        raise StudyRejected(error.code, error.detail, series_uid) from None
    return replace(scale, warnings=tuple(warning.about(series_uid) for warning in scale.warnings))


def _scale(headers: Sequence[Dataset], unit: PetUnit) -> PetScale:
    for keyword in _FUNCTIONAL_GROUPS:
        if any(keyword in header for header in headers):
            remedy = "Send the series as classic PET images."
            raise no_suv(keyword, "belongs to enhanced PET, whose values this program does not convert", remedy)
    series = read_pet_series(headers)
    images = read_pet_images(headers, series.zone)
    if series.Units == "GML":
        return _stated_suv(series, len(images), unit)
    if series.Units == "BQML":
        return _from_activity(series, images, (1.0,) * len(images), unit)
    if series.Units == "CNTS":
        return _from_counts(series, images, unit)
    found = "is missing" if not series.Units else "is neither BQML, GML nor CNTS"
    raise no_suv("Units", found, "Choose a series in Bq/ml or SUV.")


def _stated_suv(series: PetSeries, count: int, unit: PetUnit) -> PetScale:
    """Return the scale of a series in GML, whose SUV Type says by which mass its uptake is normalised."""
    warnings = _check_stated_corrections(series)
    if unit is PetUnit.BQML:
        raise no_suv("Units", "is GML; expected BQML", "Choose the series in Bq/ml.")
    if series.SUVType in STATED_TYPES[unit]:
        return PetScale((1.0,) * count, warnings)
    if series.SUVType in STATED_TYPES[PetUnit.SUV_BW] and unit in _MASSES:
        return _renormalised(series, (1.0,) * count, unit, warnings)
    found = series.SUVType if series.SUVType in _KNOWN_TYPES else "absent or unknown"
    raise no_suv("SUVType", f"is {found}; expected the one of {unit}", _OTHER_SERIES)


def _from_counts(series: PetSeries, images: Sequence[PetImage], unit: PetUnit) -> PetScale:
    """Return the scale of a series in CNTS, for which Philips gives a factor to SUVbw or to Bq/ml."""
    to_suv = [_vendor_factor(image.philips_suv_factor, PHILIPS_SUV_FACTOR) for image in images]
    if unit is not PetUnit.BQML and any(factor is not None for factor in to_suv):
        factors = tuple(factor for factor in to_suv if factor is not None)
        if len(factors) < len(images):
            raise no_suv(PHILIPS_SUV_FACTOR.name, "is 0 or missing in some images of the series, but not in all")
        return _renormalised(series, factors, unit, _check_stated_corrections(series))
    to_activity = [_vendor_factor(image.philips_activity_factor, PHILIPS_ACTIVITY_FACTOR) for image in images]
    factors = tuple(factor for factor in to_activity if factor is not None)
    if len(factors) < len(images):
        raise no_suv(
            "Units",
            f"is CNTS, and {PHILIPS_SUV_FACTOR.name} and {PHILIPS_ACTIVITY_FACTOR.name} are 0 or missing, or not under "
            f"their creator {PHILIPS_SUV_FACTOR.creator!r}",
            "Export the series in Bq/ml, or without removing private attributes.",
        )
    return _from_activity(series, images, factors, unit)


def _vendor_factor(value: str, element: PrivateElement) -> float | None:
    """Return a stated factor, ``None`` where it is missing or 0."""
    if not value:
        return None
    try:
        factor = float(value)
    except ValueError:
        raise no_suv(element.name, "is no number") from None
    if factor == 0:
        return None
    if not SMALLEST_FACTOR <= factor <= LARGEST_FACTOR:
        raise no_suv(element.name, "is negative or out of range")
    return factor


def _renormalised(
    series: PetSeries, factors: tuple[float, ...], unit: PetUnit, warnings: tuple[StudyWarning, ...]
) -> PetScale:
    """Turn factors to SUVbw into factors to a unit."""
    if unit is PetUnit.SUV_BW:
        return PetScale(factors, warnings)
    share = _mass(series, unit) / body_weight(series)
    return PetScale(tuple(factor * share for factor in factors), warnings)


def _from_activity(
    series: PetSeries, images: Sequence[PetImage], to_activity: tuple[float, ...], unit: PetUnit
) -> PetScale:
    """Return the scale of a series that the factors turn into Bq/ml."""
    if unit is PetUnit.BQML:
        return PetScale(to_activity)
    for correction in (_DECAY, _ATTENUATION):
        if correction not in series.CorrectedImage:
            raise no_suv("CorrectedImage", f"does not name {correction}", "Choose the corrected series.")
    warnings: tuple[StudyWarning, ...] = ()
    isotope = the_isotope(series)
    mass, dose, half_life = _mass(series, unit), dose_of(isotope), half_life_of(isotope)
    if series.DecayCorrection == "ADMIN":
        _check_uptake(series, isotope, images, half_life)
    elif series.DecayCorrection == "START":
        if half_life is None:
            raise no_suv("RadionuclideHalfLife", "is missing or no number")
        scan = scan_time(series, images, half_life)
        injection = injected_at(isotope, scan.instant, series.zone, half_life)
        dose *= 2 ** (-uptake_seconds(injection, scan.instant, half_life) / half_life)
        warnings = _warnings_of_times(isotope, images, scan, half_life)
    else:
        found = "is NONE" if series.DecayCorrection == "NONE" else "is missing or unknown"
        raise no_suv("DecayCorrection", f"{found}; expected START or ADMIN", "Choose a series corrected for decay.")
    return PetScale(tuple(factor * mass / dose for factor in to_activity), warnings)


def _mass(series: PetSeries, unit: PetUnit) -> float:
    if unit not in _MASSES:
        remedy = "Choose a series whose SUV Type is LBM, or a model of a stated formula."
        raise no_suv("SUVType", "LBM names no formula that it could be computed by", remedy)
    return _MASSES[unit](series)


def _check_stated_corrections(series: PetSeries) -> tuple[StudyWarning, ...]:
    """Refuse an SUV of uncorrected activity; warn where the corrections of an SUV are not stated."""
    if not series.CorrectedImage:
        return _unsure(["Corrected Image is missing: nothing says that the SUV is corrected for attenuation."])
    for correction in (_DECAY, _ATTENUATION):
        if correction not in series.CorrectedImage:
            raise no_suv("CorrectedImage", f"does not name {correction}", "Choose the corrected series.")
    return ()


def _check_uptake(series: PetSeries, isotope: Isotope, images: Sequence[PetImage], half_life: float | None) -> None:
    """Refuse an impossible injection where the dose is not decayed, as far as times are stated."""
    scan = earliest_acquisition(images)
    if scan is not None and half_life is not None and states_injection(isotope, half_life):
        uptake_seconds(injected_at(isotope, scan, series.zone, half_life), scan, half_life)


def _warnings_of_times(
    isotope: Isotope, images: Sequence[PetImage], scan: ScanTime, half_life: float
) -> tuple[StudyWarning, ...]:
    """Compare what was used with what else the headers say."""
    warnings = []
    if scan.is_series_time:
        with suppress(StudyRejected):
            seconds = (frame_start(images, half_life).moment - scan.instant.moment).total_seconds()
            share = math.expm1(seconds / half_life * math.log(2))
            if abs(share) > LARGEST_DISAGREEMENT:
                warnings.append(
                    f"Frame Reference Time leads to a start of the scan {seconds / 60:+.0f} min from Series Time, "
                    f"which was used; by it the SUV would be {share:+.0%} different."
                )
    if radionuclide_of(*isotope.RadionuclideCode) is None:
        warnings.append("Radionuclide Code is missing or unknown: the half-life could not be compared with it.")
    if stated_times_differ(isotope):
        warnings.append("Radiopharmaceutical Start DateTime, which was used, and Start Time differ.")
    return _unsure(warnings)


def _unsure(findings: Sequence[str]) -> tuple[StudyWarning, ...]:
    return tuple(StudyWarning(WarningCode.SUV_UNSURE, finding) for finding in findings)
