"""Depths in mm inside of masks: by a ball for short ones, by distances, some planes at a time, for long ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from segmentation.postprocessing.packed_balls import ball_columns, eroded

MOST_COLUMNS = 4096
"""Largest ball, in its columns, by which masks are eroded; distances to every voxel take as long as for twice that."""
VOXELS_AT_ONCE = 2**22
"""Number of voxels per part, at some 25 bytes each; scipy's own distances take twice that, for the whole mask."""


def deeper_than(mask: NDArray[np.bool_], depth_mm: float, spacing: Sequence[float]) -> NDArray[np.bool_]:
    """Find the voxels of a mask that lie farther than a depth from every voxel outside of it.

    Parameters
    ----------
    mask
        ``(slice, row, column)``; beyond the array's faces it is assumed to continue.
    depth_mm
        The depth in mm.
    spacing
        Voxel spacing in mm along ``(slice, row, column)``.
    """
    if np.pi * depth_mm**2 / (spacing[0] * spacing[1]) <= MOST_COLUMNS:
        return eroded(mask, ball_columns(depth_mm, spacing, mask.shape))
    return _by_distances(mask, depth_mm, spacing)


def _by_distances(mask: NDArray[np.bool_], depth_mm: float, spacing: Sequence[float]) -> NDArray[np.bool_]:
    """Take parts of the mask: what is nearer than the depth lies within as many planes."""
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
