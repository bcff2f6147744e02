"""Uptake of a structure in PET: peak, metabolic volume and total glycolysis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.volume import Geometry

PEAK_RADIUS_MM = (3000.0 / (4.0 * np.pi)) ** (1.0 / 3.0)
"""Radius of a sphere of 1 ml."""


@dataclass(frozen=True)
class Uptake:
    """Uptake in the image's unit.

    Attributes
    ----------
    peak
        Largest mean over a sphere of 1 ml around a voxel of the structure; the sphere may reach beyond it. ``None``
        where the slices form no regular grid, or a value is not finite.

    References
    ----------
    IBSI reference manual, global intensity peak (0F91).
    """

    peak: float | None


def uptake_of(
    inside: NDArray[np.bool_], box: tuple[slice, slice, slice], image: NDArray[np.float32], geometry: Geometry
) -> Uptake:
    """Measure a structure; parameters are those of `core.measurements.diameters.largest_diameters`, and the image."""
    if not geometry.is_regular:
        return Uptake(None)
    reach = [int(PEAK_RADIUS_MM // spacing) for spacing in geometry.spacing]
    axes = np.meshgrid(
        *(np.arange(-n, n + 1) * spacing for n, spacing in zip(reach, geometry.spacing, strict=True)), indexing="ij"
    )
    ball = (sum(axis**2 for axis in axes) <= PEAK_RADIUS_MM**2).astype(np.float64)
    wider = tuple(
        slice(max(part.start - n, 0), min(part.stop + n, size))
        for part, n, size in zip(box, reach, image.shape, strict=True)
    )
    values = image[wider].astype(np.float64)
    if not np.isfinite(values).all():
        return Uptake(None)
    # At the border of the image the sphere is the part of it that lies inside.
    total = ndimage.convolve(values, ball, mode="constant")
    count = ndimage.convolve(np.ones_like(values), ball, mode="constant")
    within = tuple(
        slice(part.start - wide.start, part.stop - wide.start) for part, wide in zip(box, wider, strict=True)
    )
    return Uptake(float((total / count)[within][inside].max()))
