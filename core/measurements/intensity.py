"""The values of an image within a structure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Intensity:
    """Statistics of the values, in the image's unit.

    Attributes
    ----------
    mean, minimum, maximum
        Of the voxels, each of equal weight.
    sd
        Standard deviation of the sample (over n - 1); ``None`` of a single voxel.
    """

    mean: float
    sd: float | None
    minimum: float
    maximum: float


def intensity_of(values: NDArray[np.float32]) -> Intensity | None:
    """Compute the statistics of values ``(n,)``; ``None`` where one of them is not finite."""
    exact = values.astype(np.float64)
    if not np.isfinite(exact).all():
        return None
    sd = float(exact.std(ddof=1)) if len(exact) > 1 else None
    return Intensity(float(exact.mean()), sd, float(exact.min()), float(exact.max()))
