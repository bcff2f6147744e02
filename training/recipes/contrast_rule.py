"""Contrast medium among the dense voxels of a CT, told from bone by shape and neighbourhood.

Contrast medium is a fluid: even inside, brightest in its middle, and its surroundings are darker. Bone is spongy
inside, and its cortex is brighter than its marrow. So a **core** is a part of the dense voxels whose HU hardly vary
within ``EVEN_MM``, at least ``CORE_RADIUS_MM`` thick, not brighter than ``CORTEX_HU``, and darker around than in it
on most sides. Dense voxels within ``GROW_MM`` of a core, and hardly brighter, are its rim. A component that consists
mostly of cores and rims is contrast medium as a whole.

Where no core is thick enough (a ureter, a coronary artery), the rule calls it bone; so it does where the
image's first or last slice leaves only a slab of a bladder or a kidney, and in an image without any noise, whose bones
are as even as fluids.
"""

from collections.abc import Sequence
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

LEAST_NOISE_HU = 1.0
SMOOTH_MM = 0.8
EVEN_MM = 2.0
EVEN_HU = 32.0
EVEN_WHOLE_HU = 40.0
EVEN_WHOLE_ML = 1.0
CORE_RADIUS_MM = 2.0
CORE_MIN_ML = 0.2
CORTEX_HU = 1000.0
RING_MM = 5.0
DARKER_HU = 30.0
DARKER_SHARE = 0.6
GROW_MM = 5.0
BRIGHTER_HU = 80.0
LEAST_HEIGHT = 0.55
MOST_CONTACT = 0.3
WHOLE_SHARE = 0.5

Mask = NDArray[np.bool_]


def contrast_among(array: NDArray[Any], dense: Mask, spacing: Sequence[float]) -> Mask:
    """Find contrast medium among dense voxels.

    Parameters
    ----------
    array
        HU, ``(slice, row, column)``.
    dense
        The voxels that are bone or contrast medium.
    spacing
        Voxel spacing in mm along ``(slice, row, column)``.
    """
    smooth = _smooth(array, dense, spacing)
    if not dense.any() or float(np.std((array - smooth)[dense])) < LEAST_NOISE_HU:
        return np.zeros(dense.shape, bool)
    found = _even_components(smooth, dense, spacing)
    even = _even(smooth, dense, spacing)
    cores = cc3d.dust(even, threshold=max(1, round(CORE_MIN_ML * 1000.0 / float(np.prod(spacing)))), connectivity=6)
    numbered = cc3d.connected_components(cores, connectivity=6)
    margin = [int(np.ceil(max(RING_MM, GROW_MM) / s)) for s in spacing[1:]]
    for number, box in enumerate(ndimage.find_objects(numbered), start=1):
        wide = _widened(box, margin, dense.shape)
        core, values = numbered[wide] == number, array[wide]
        mean = float(values[core].mean())
        if _is_flat(core, len(dense), spacing):
            continue
        if mean > CORTEX_HU or _darker_around(values, core, mean, spacing) < DARKER_SHARE:
            continue
        rim = ndimage.binary_dilation(core, disc(GROW_MM, spacing)) & (values <= mean + BRIGHTER_HU)
        part = (core | rim) & dense[wide]
        if _contact(part, dense, wide, spacing) <= MOST_CONTACT:
            found[wide] |= part
    return found | _mostly(found, dense)


def disc(radius_mm: float, spacing: Sequence[float]) -> Mask:
    """Build an in-plane structuring element ``(1, row, column)``."""
    rows, columns = (int(radius_mm / s + 1e-6) for s in spacing[1:])
    y, x = np.mgrid[-rows : rows + 1, -columns : columns + 1]
    return np.asarray((y * spacing[1]) ** 2 + (x * spacing[2]) ** 2 <= radius_mm**2 + 1e-6)[None]


def _smooth(array: NDArray[Any], dense: Mask, spacing: Sequence[float]) -> NDArray[np.float64]:
    """Smooth the dense voxels in their plane among themselves; elsewhere the result is 0."""
    sigma = (0.0, SMOOTH_MM / spacing[1], SMOOTH_MM / spacing[2])
    weight = ndimage.gaussian_filter(dense.astype(np.float64), sigma)
    values = ndimage.gaussian_filter(np.where(dense, array, 0.0), sigma)
    return np.asarray(np.where(dense, values / np.maximum(weight, 1e-3), 0.0))


def _even_components(smooth: NDArray[np.float64], dense: Mask, spacing: Sequence[float]) -> Mask:
    """Return the components that are one fluid from end to end."""
    components = cc3d.connected_components(dense, connectivity=26)
    counts = np.bincount(components.ravel())
    mean = np.bincount(components.ravel(), smooth.ravel()) / counts
    square = np.bincount(components.ravel(), smooth.ravel() ** 2) / counts
    alike = (square - mean**2 < EVEN_WHOLE_HU**2) & (counts * np.prod(spacing) >= EVEN_WHOLE_ML * 1000.0)
    alike[0] = False
    return np.asarray(alike[components])


def _even(smooth: NDArray[np.float64], dense: Mask, spacing: Sequence[float]) -> Mask:
    """Return the dense voxels in whose plane the dense neighbours have nearly one HU, opened by a core's radius."""
    size = (1, *(2 * max(1, round(EVEN_MM / s)) + 1 for s in spacing[1:]))
    count = np.maximum(ndimage.uniform_filter(dense.astype(np.float64), size), 1e-6)
    mean = ndimage.uniform_filter(smooth, size) / count
    square = ndimage.uniform_filter(smooth**2, size) / count
    even = dense & (square - mean**2 < EVEN_HU**2)
    element = disc(CORE_RADIUS_MM, spacing)
    return np.asarray(ndimage.binary_dilation(ndimage.binary_erosion(even, element), element) & even)


def _widened(box: tuple[slice, ...], margin: Sequence[int], shape: tuple[int, ...]) -> tuple[slice, ...]:
    rows, columns = (
        slice(max(0, part.start - more), min(length, part.stop + more))
        for part, more, length in zip(box[1:], margin, shape[1:], strict=True)
    )
    return box[0], rows, columns


def _is_flat(core: Mask, slices: int, spacing: Sequence[float]) -> bool:
    """Return whether a core is lower than wide, as the end plate of a vertebra, and does not fill the whole image."""
    areas = core.sum(axis=(1, 2))
    height = float(core.sum()) / float(areas.max()) * spacing[0]
    return len(core) < slices and height < LEAST_HEIGHT * float(np.sqrt(areas.max() * spacing[1] * spacing[2]))


def _darker_around(values: NDArray[Any], core: Mask, mean: float, spacing: Sequence[float]) -> float:
    """Return the share of the ring around a core that is darker than the core."""
    ring = ndimage.binary_dilation(core, disc(RING_MM, spacing)) & ~core
    return float((values[ring] < mean - DARKER_HU).mean()) if ring.any() else 0.0


def _contact(part: Mask, dense: Mask, box: tuple[slice, ...], spacing: Sequence[float]) -> float:
    """Return the share of a part's surface at which other dense voxels lie; the image's own border counts nothing."""
    touching = surface = 0.0
    z = slice(max(0, box[0].start - 1), min(len(dense), box[0].stop + 1))
    above, below = box[0].start - z.start, z.stop - box[0].stop
    part = np.pad(part, ((above, below), (0, 0), (0, 0)))
    around = dense[(z, *box[1:])]
    volume = float(np.prod(spacing))
    for axis, step in enumerate(spacing):
        for near, far in (((0, -1), (1, None)), ((1, None), (0, -1))):
            here = np.take(part, np.arange(*slice(*near).indices(part.shape[axis])), axis)
            there = np.take(part, np.arange(*slice(*far).indices(part.shape[axis])), axis)
            other = np.take(around, np.arange(*slice(*far).indices(part.shape[axis])), axis)
            faces = here & ~there
            surface += float(faces.sum()) * volume / step
            touching += float((faces & other).sum()) * volume / step
    return touching / surface if surface else 0.0


def _mostly(found: Mask, dense: Mask) -> Mask:
    """Return the components of which the greater part was found."""
    components = cc3d.connected_components(dense, connectivity=26)
    all_, part = np.bincount(components.ravel()), np.bincount(components[found], minlength=int(components.max()) + 1)
    whole = part >= WHOLE_SHARE * all_
    whole[0] = False
    return np.asarray(whole[components])
