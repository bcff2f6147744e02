"""The mass by which an uptake is normalised: body weight, or lean body mass by a stated formula.

References
----------
James, "Research on obesity", 1976, with the coefficient 128 for men (SUV Type LBMJAMES128); Janmahasatian et al.,
"Quantification of lean bodyweight", Clinical Pharmacokinetics 44, 2005 (LBMJANMA). PS3.3 C.8.9.1.1 names both types.
"""

from dicom_io.images.pixels.suv.pet_header import PetSeries
from dicom_io.images.pixels.suv.refusal import no_suv

LIGHTEST, HEAVIEST = 2.0, 500.0
"""In kg; a weight in g or a height in its place is out of range."""

SHORTEST, TALLEST = 0.4, 2.6
"""In m; a height in cm is out of range."""

_JAMES = {"M": (1.10, 128.0), "F": (1.07, 148.0)}
_JANMA = {"M": (6680.0, 216.0), "F": (8780.0, 244.0)}


def body_weight(series: PetSeries) -> float:
    """Return Patient's Weight in g.

    Raises
    ------
    StudyRejected
        ``no_suv`` if it is missing or no patient's.
    """
    weight = series.PatientWeight
    if weight is None:
        raise no_suv("PatientWeight", "is missing or no number")
    if not LIGHTEST <= weight <= HEAVIEST:
        raise no_suv("PatientWeight", f"is {weight:g}; expected {LIGHTEST:g} to {HEAVIEST:g} kg")
    return weight * 1000


def lean_body_mass_james(series: PetSeries) -> float:
    """Return lean body mass in g by James' formula with the coefficient 128 for men; see `body_weight`."""
    weight, size, sex = _body(series)
    slope, square = _JAMES[sex]
    return _lean(slope * weight - square * (weight / (100 * size)) ** 2, weight)


def lean_body_mass_janmahasatian(series: PetSeries) -> float:
    """Return lean body mass in g by Janmahasatian's formula; see `body_weight`."""
    weight, size, sex = _body(series)
    constant, per_index = _JANMA[sex]
    return _lean(9270 * weight / (constant + per_index * weight / size**2), weight)


def _body(series: PetSeries) -> tuple[float, float, str]:
    weight, size = body_weight(series) / 1000, series.PatientSize
    if size is None:
        raise no_suv("PatientSize", "is missing or no number, and a lean body mass needs it")
    if not SHORTEST <= size <= TALLEST:
        raise no_suv("PatientSize", f"is {size:g}; expected {SHORTEST:g} to {TALLEST:g} m")
    if series.PatientSex not in _JAMES:
        raise no_suv("PatientSex", "is not M or F, and the formulas of lean body mass know no other")
    return weight, size, series.PatientSex


def _lean(mass: float, weight: float) -> float:
    if not 0.2 * weight <= mass <= weight:
        raise no_suv(
            "PatientSize",
            f"and weight give a lean body mass of {mass / weight:.0%} of the weight; expected 20 to 100 %",
        )
    return mass * 1000
