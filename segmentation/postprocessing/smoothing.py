"""Smoothing of label surfaces that loses no component and cuts no vessel.

1. Each label's indicator and the background's are blurred by a Gaussian of the same width in mm; every voxel goes to
   the largest. Labels stay disjoint by construction, and their common borders are smoothed as one.
2. Voxels that a blur takes from thin structures are given back: voxels farther than twice the width from what is left
   of their label, with the way back to it.
3. Where a component of the original would still be lost or fall apart, the removed pieces that joined it are given
   back whole.

Only voxels that were the label's own are given back, so that no two labels ever claim the same one.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmentation.boxes import Box, bounding_boxes, union
from segmentation.postprocessing.distances import deeper_than

TRUNCATE = 3.0
"""Distance at which the Gaussian is cut off, in widths."""
THIN = 2.0
"""Distance from the rest of its label, in widths, beyond which a removed voxel counts as part of a thin structure."""

Mask = NDArray[np.bool_]
_EVERY_NEIGHBOUR = np.ones((3, 3, 3), dtype=np.bool_)


def smooth_labels(
    array: NDArray[Any], values: Iterable[int], sigma_mm: float, spacing: tuple[float, float, float]
) -> None:
    """Smooth labels in place; voxels of other labels stay as they are.

    Parameters
    ----------
    array
        Integer labels ``(slice, row, column)``.
    values
        The labels to smooth; those that do not occur are skipped.
    sigma_mm
        Width of the Gaussian in mm.
    spacing
        Voxel spacing in mm along ``(slice, row, column)``.
    """
    sigma = tuple(sigma_mm / mm for mm in spacing)
    margin = [int(np.ceil(TRUNCATE * s)) for s in sigma]
    found = bounding_boxes(array)
    boxes = {value: found[value] for value in sorted(set(values)) if value in found}
    whole = union(boxes.values())
    if whole is None:
        return
    original = array.copy()
    region = _grown(whole, margin, array.shape)
    best = _blurred(original[region] == 0, sigma)
    changed = array[region]
    free = np.isin(original[region], (0, *boxes))
    changed[free] = 0
    for value, box in boxes.items():
        grown = _grown(box, margin, array.shape)
        inner = tuple(slice(g.start - r.start, g.stop - r.start) for g, r in zip(grown, region, strict=True))
        score = _blurred(original[grown] == value, sigma)
        mine = original[grown] == value
        wins = free[inner] & ((score > best[inner]) | (mine & (score == best[inner])))
        changed[inner][wins] = value
        best[inner][wins] = score[wins]
    for value, box in boxes.items():
        before, after = original[box] == value, array[box]
        after[restored(before, before & (after == value), THIN * sigma_mm, spacing)] = value


def restored(before: Mask, kept: Mask, reach_mm: float, spacing: Sequence[float]) -> Mask:
    """Find the removed voxels that a mask needs back to keep its thin structures and each component in one piece.

    Parameters
    ----------
    before
        The mask as it was.
    kept
        The part of it that is left.
    reach_mm
        Removed voxels farther than this from ``kept`` are part of a thin structure.
    spacing
        Voxel spacing in mm.
    """
    removed = before & ~kept
    if not removed.any():
        return removed
    back = _thin_structures(removed, kept, reach_mm, spacing)
    removed &= ~back
    pieces, count = cc3d.connected_components(removed, connectivity=26, return_N=True)
    parts = cc3d.connected_components(kept | back, connectivity=26)
    neighbours = _neighbours(pieces, parts)
    touched = np.bincount(neighbours[:, 0], minlength=count + 1)
    bridge = touched != 1  # two or more: it joins them; none: it is a whole component
    bridge[0] = False
    result: Mask = back | bridge[pieces]
    return result


def _thin_structures(removed: Mask, kept: Mask, reach_mm: float, spacing: Sequence[float]) -> Mask:
    if not kept.any():
        return np.zeros_like(removed)
    far: Mask = removed & deeper_than(~kept, reach_mm, spacing)
    if not far.any():
        return far
    steps = int(np.ceil(reach_mm / min(spacing))) + 1
    way_back: Mask = ndimage.binary_dilation(far, _EVERY_NEIGHBOUR, iterations=steps, mask=removed)
    return way_back


def _neighbours(pieces: NDArray[Any], parts: NDArray[Any]) -> NDArray[np.int64]:
    """List the distinct pairs ``(piece, part)`` that touch, also at a corner."""
    where = np.argwhere(pieces)
    numbers = pieces[tuple(where.T)].astype(np.int64)
    padded = np.pad(parts, 1)
    base = int(parts.max()) + 1
    pairs: list[NDArray[np.int64]] = []
    for offset in np.argwhere(_EVERY_NEIGHBOUR):
        part = padded[tuple((where + offset).T)].astype(np.int64)
        pairs.append(np.unique((numbers * base + part)[part > 0]))
    codes = np.unique(np.concatenate(pairs))
    return np.stack(np.divmod(codes, base), axis=1)


def _blurred(indicator: Mask, sigma: tuple[float, ...]) -> NDArray[np.float32]:
    blurred: NDArray[np.float32] = ndimage.gaussian_filter(
        indicator.astype(np.float32), sigma, mode="nearest", truncate=TRUNCATE
    )
    return blurred


def _grown(box: Box, margin: Sequence[int], shape: Sequence[int]) -> Box:
    x, y, z = (
        slice(max(0, side.start - m), min(size, side.stop + m))
        for side, m, size in zip(box, margin, shape, strict=True)
    )
    return x, y, z
