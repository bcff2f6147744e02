"""Names of the units that a channel's values can have, as ``model.yaml`` and reasons write them.

CT and its maps carry DICOM's Rescale Type (PS3.3 C.11.1.1.2) or a UCUM code; PET the names of `PT_UNITS`. MR values
have no unit unless a map states one.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

HU = "HU"
UNSPECIFIED = "US"
"""DICOM's word for values of which the writer does not say what they are."""
HU_MODIFIED = "HU_MOD"
EFFECTIVE_Z = "Z_EFF"
ELECTRON_DENSITY = "ED"

PT_UNITS = ("SUVbw", "SUL_LBM", "SUL_LBMJAMES128", "SUL_LBMJANMA", "BQML")
"""Units to which PET values are brought: uptake by body weight, by lean body mass (with its formula), and Bq/ml."""

Unit = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
"""A unit of a channel: a Rescale Type, a name of `PT_UNITS`, or a UCUM code; compared ignoring case."""


def same_unit(first: str, second: str) -> bool:
    """Return whether two names are of one unit."""
    return first.casefold() == second.casefold()


def default_unit(modality: Sequence[str]) -> str | None:
    """Return the unit of a channel that names none: HU where it takes CT alone, else none."""
    return HU if tuple(modality) == ("CT",) else None
