"""Made PET series whose SUV is known: by hand here, and by two other programs in ``pet_references.json``."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from tests.support.pet_headers import (
    C11,
    CU64,
    DAY,
    DAY_AFTER,
    DAY_BEFORE,
    GA68,
    ZR89,
    Pet,
)

HOUR = 3600.0


SUL_CASES = ("start_siemens", "start_ge", "child", "heavy", "gallium")
"""Of which lean body mass is compared too."""


@dataclass(frozen=True)
class PetCase:
    """A series and its factors to SUVbw by hand.

    Attributes
    ----------
    pet
        The headers.
    seconds
        From the injection to the scan's reference time; the dose decays so long.
    factors
        One an image, where no dose is needed.
    activity
        One an image: what makes Bq/ml of rescaled values.
    """

    pet: Pet
    seconds: float = HOUR
    factors: tuple[float, ...] | None = None
    activity: tuple[float, ...] = (1.0, 1.0, 1.0)

    def by_hand(self) -> tuple[float, ...]:
        """Return the factors: 1000 weight / (dose * 2 ** (-seconds / half-life))."""
        if self.factors is not None:
            return self.factors
        dose = float(str(self.pet.dose)) * 0.5 ** (self.seconds / float(str(self.pet.half_life)))
        return tuple(activity * 1000 * float(str(self.pet.weight)) / dose for activity in self.activity)


SIEMENS = Pet()
GE = Pet(manufacturer="GE MEDICAL SYSTEMS", slopes=(0.5, 1.25, 2.0), ge_scan_time=f"{DAY}100000.00")
PHILIPS = Pet(manufacturer="Philips Medical Systems", series_time="100000", start_date_time=f"{DAY}090000")
COUNTS = replace(PHILIPS, units="CNTS")
VENDORS = {"siemens": SIEMENS, "ge": GE, "philips": PHILIPS}

NEW_DAY = ((DAY_BEFORE, "235800"), (DAY, "000100"), (DAY, "000400"))
DELAYED = tuple((DAY, f"12{minute:02d}00.000000") for minute in (0, 3, 6))
SECOND_BED = tuple((DAY, f"10{minute:02d}00.000000") for minute in (3, 6, 9))
AFTER_MIDNIGHT = tuple((DAY, f"00{minute:02d}00.000000") for minute in (30, 33, 36))

CASES: Mapping[str, PetCase] = MappingProxyType(
    {
        **{f"start_{name}": PetCase(pet) for name, pet in VENDORS.items()},
        **{f"admin_{name}": PetCase(replace(pet, decay_correction="ADMIN"), 0) for name, pet in VENDORS.items()},
        **{
            f"rewritten_series_time_{name}": PetCase(replace(pet, series_time="150000.000000"))
            for name, pet in VENDORS.items()
        },
        **{
            f"rewritten_series_date_{name}": PetCase(replace(pet, series_date=DAY_AFTER, series_time="080000"))
            for name, pet in VENDORS.items()
        },
        **{
            f"delayed_second_scan_{name}": PetCase(
                replace(
                    pet,
                    series_time="120000",
                    acquisitions=DELAYED,
                    ge_scan_time=pet.ge_scan_time and f"{DAY}120000.00",
                ),
                3 * HOUR,
            )
            for name, pet in VENDORS.items()
        },
        **{
            f"delayed_second_scan_rewritten_{name}": PetCase(
                replace(
                    pet,
                    series_time="160000",
                    acquisitions=DELAYED,
                    ge_scan_time=pet.ge_scan_time and f"{DAY}120000.00",
                ),
                3 * HOUR,
            )
            for name, pet in VENDORS.items()
        },
        **{
            f"midnight_{name}": PetCase(
                replace(
                    pet,
                    series_time="003000",
                    acquisitions=AFTER_MIDNIGHT,
                    start_date_time=f"{DAY_BEFORE}233000",
                    start_time="233000",
                    ge_scan_time=pet.ge_scan_time and f"{DAY}003000.00",
                )
            )
            for name, pet in VENDORS.items()
        },
        "midnight_time_only": PetCase(
            replace(
                SIEMENS,
                series_time="003000",
                acquisitions=AFTER_MIDNIGHT,
                start_date_time=None,
                start_time="233000",
            )
        ),
        "midnight_within_scan": PetCase(
            replace(
                SIEMENS,
                series_date=DAY_BEFORE,
                series_time="235800",
                acquisitions=NEW_DAY,
                start_date_time=f"{DAY_BEFORE}225800",
                start_time="225800",
            )
        ),
        "midnight_within_scan_rewritten": PetCase(
            replace(
                SIEMENS,
                series_time="070000",
                acquisitions=NEW_DAY,
                start_date_time=f"{DAY_BEFORE}225800",
                start_time="225800",
            )
        ),
        "midnight_within_scan_time_only": PetCase(
            replace(
                SIEMENS,
                series_date=DAY_BEFORE,
                series_time="235800",
                acquisitions=NEW_DAY,
                start_date_time=None,
                start_time="225800",
            )
        ),
        "slope_per_slice": PetCase(replace(SIEMENS, slopes=(0.31, 0.73, 1.9))),
        "slope_per_slice_admin": PetCase(replace(GE, decay_correction="ADMIN", slopes=(0.31, 0.73, 1.9)), 0),
        "slope_and_intercept": PetCase(replace(SIEMENS, slopes=(0.5, 0.7, 0.9), intercept=40)),
        "series_time_before_acquisition": PetCase(
            replace(
                SIEMENS,
                acquisitions=((DAY, "100130"), (DAY, "100430"), (DAY, "100730")),
                scan_offsets=(90, 270, 450),
            )
        ),
        "rewritten_series_time_first_bed_missing": PetCase(
            replace(SIEMENS, series_time="150000", acquisitions=SECOND_BED, scan_offsets=(180, 360, 540))
        ),
        "rewritten_series_time_ge_without_its_own": PetCase(replace(GE, series_time="150000", ge_scan_time=None)),
        "delayed_second_scan_with_the_first_ones_time": PetCase(replace(SIEMENS, acquisitions=DELAYED)),
        "start_time_only": PetCase(replace(SIEMENS, start_date_time=None)),
        "start_date_time_only": PetCase(replace(SIEMENS, start_time=None)),
        "fractions_of_seconds": PetCase(
            replace(
                SIEMENS,
                series_time="100000.25",
                acquisitions=((DAY, "100000.25"), (DAY, "100300.25"), (DAY, "100600.25")),
                start_date_time=f"{DAY}090000.75",
            ),
            HOUR - 0.5,
        ),
        "times_to_the_minute": PetCase(
            replace(
                SIEMENS,
                series_time="1000",
                start_date_time=None,
                start_time="0900",
                acquisitions=((DAY, "1000"), (DAY, "1003"), (DAY, "1006")),
            )
        ),
        "same_zone": PetCase(replace(SIEMENS, timezone="+0100", start_date_time=f"{DAY}090000.000000+0100")),
        "other_zone": PetCase(replace(SIEMENS, timezone="+0100", start_date_time=f"{DAY}080000.000000+0000")),
        "zone_of_the_series": PetCase(replace(SIEMENS, timezone="-0500")),
        "gallium": PetCase(replace(SIEMENS, half_life=GA68, nuclide=("SRT", "C-131A3"), dose=1.5e8)),
        "gallium_rewritten": PetCase(
            replace(SIEMENS, half_life=GA68, nuclide=("SCT", "35337001"), dose=1.5e8, series_time="150000")
        ),
        "carbon": PetCase(
            replace(
                SIEMENS,
                half_life=C11,
                nuclide=("SRT", "C-105A1"),
                dose=6e8,
                start_date_time=f"{DAY}095500",
                start_time="095500",
            ),
            300,
        ),
        "carbon_rewritten": PetCase(
            replace(
                SIEMENS,
                half_life=C11,
                nuclide=("SRT", "C-105A1"),
                dose=6e8,
                start_date_time=f"{DAY}095500",
                start_time="095500",
                series_time="150000",
            ),
            300,
        ),
        "copper": PetCase(replace(SIEMENS, half_life=CU64, nuclide=("SRT", "C-127A2"), dose=2e8)),
        "zirconium_after_four_days": PetCase(
            replace(
                SIEMENS,
                half_life=ZR89,
                nuclide=("SRT", "C-168A4"),
                dose=3.7e7,
                start_date_time="20251229090000",
                start_time="090000",
            ),
            97 * HOUR,
        ),
        "child": PetCase(replace(SIEMENS, weight=12.5, size=0.9, dose=4.2e7, sex="F")),
        "heavy": PetCase(replace(GE, weight=182, size=1.92, dose=7.1e8)),
        "long_uptake": PetCase(replace(PHILIPS, start_date_time=f"{DAY}063000", start_time="063000"), 3.5 * HOUR),
        "counts_suv": PetCase(replace(COUNTS, philips_suv=("0.000412",) * 3), factors=(0.000412, 0.000412, 0.000412)),
        "counts_suv_and_activity": PetCase(
            replace(COUNTS, philips_suv=("0.000412",) * 3, philips_activity=("1.31633",) * 3),
            factors=(0.000412, 0.000412, 0.000412),
        ),
        "counts_activity": PetCase(replace(COUNTS, philips_activity=("1.75",) * 3), activity=(1.75, 1.75, 1.75)),
        "counts_activity_suv_0": PetCase(
            replace(COUNTS, philips_suv=("0",) * 3, philips_activity=("1.75",) * 3), activity=(1.75, 1.75, 1.75)
        ),
        "counts_activity_admin": PetCase(
            replace(COUNTS, philips_activity=("1.75",) * 3, decay_correction="ADMIN"), 0, activity=(1.75, 1.75, 1.75)
        ),
        "gml": PetCase(replace(SIEMENS, units="GML"), factors=(1.0, 1.0, 1.0)),
        "gml_bw": PetCase(replace(GE, units="GML", suv_type="BW"), factors=(1.0, 1.0, 1.0)),
    }
)
