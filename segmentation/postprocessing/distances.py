"""Distances in mm inside of masks, some planes at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

VOXELS_AT_ONCE = 2**22
"""Number of voxels per part, at some 25 bytes each; scipy's own distances take twice that, for the whole mask."""


def deeper_than(mask: NDArray[np.bool_], depth_mm: float, spacing: Sequence[float]) -> NDArray[np.bool_]:
    """Find the voxels of a mask that lie farther than a depth from every voxel outside of it.

    Nearer voxels lie within as many planes, so parts of the mask with that margin give the same as the whole.

    Parameters
    ----------
    mask
        ``(slice, row, column)``; beyond the array's faces it is assumed to continue.
    depth_mm
        The depth in mm.
    spacing
        Voxel spacing in mm along ``(slice, row, column)``.
    """
    margin = int(np.ceil(depth_mm / spacing[0])) + 1
    step = max(2 * margin, VOXELS_AT_ONCE // mask[0].size)
    result = mask.copy()
    for start in range(0, len(mask), step):
        first, stop = max(0, start - margin), min(start + step, len(mask))
        part = mask[first : stop + margin]
        if part.all() or not part.any():
            continue  # without a voxel outside there is no distance, and without one inside none that counts
        nearest: Any = distance_transform_edt(part, sampling=spacing, return_distances=False, return_indices=True)
        places = np.ogrid[start - first : stop - first, : mask.shape[1], : mask.shape[2]]
        squared: Any = sum(
            ((found[start - first : stop - first] - place) * mm) ** 2
            for found, place, mm in zip(nearest, places, spacing, strict=True)
        )
        result[start:stop] = np.sqrt(squared) > depth_mm
    return result
