"""The published rule that labels body, lung and bone in a CT: thresholds and connected components, no network.

1. **Body**: soft voxels above -300 HU, opened in plane by 4 mm so that a table or blanket that touches the skin
   falls off; the largest component, and every other one as thick and as dense as a limb, which a table is not; what
   the opening took off within reach of them is given back; holes filled slice by slice.
2. **Lung**: inside the body, below -500 HU; components (6 neighbours) of at least 20 ml of which at most 5 % lies
   below -940 HU, and which do not lead to the air outside. Bowel gas is smaller or darker (it holds no tissue),
   and a fold of skin is open to the outside. The rim, in whose voxels lung and chest wall mix, belongs to it as far
   as it is not soft. Gaps of less than 4 mm (vessels, airway walls) are closed in plane.
3. **Bone**: inside the body, above 200 HU, opened in plane by 1 mm (nothing, where a voxel is wider), without
   contrast medium, components of at least 0.5 ml. Where masks of organs and bones come with the image, they tell
   contrast medium from bone; else ``training.recipes.contrast_rule`` does.

The labels are disjoint: bone wins over lung, both over body.
"""

from collections.abc import Sequence
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.recipes.contrast_rule import contrast_among, disc
from training.recipes.organ_masks import OrganMasks

BACKGROUND, BODY, LUNG, BONE = 0, 1, 2, 3
LABELS = {"background": BACKGROUND, "body": BODY, "lung": LUNG, "bone": BONE}

SOFT_HU = -300.0
LUNG_HU = -500.0
BONE_HU = 200.0
BODY_OPENING_MM = 4.0
LIMB_RADIUS_MM = 10.0
LIMB_MIN_ML = 50.0
LIMB_HU = -150.0
LUNG_MIN_ML = 20.0
GAS_HU = -940.0
LUNG_MAX_GAS = 0.05
LUNG_CLOSING_MM = 4.0
LUNG_RIM_MM = 2.0
BONE_OPENING_MM = 1.0
BONE_MIN_ML = 0.5
MASK_REACH_MM = 3.0

Image = NDArray[Any]
Mask = NDArray[np.bool_]


def label_tissues(array: Image, spacing: Sequence[float], masks: OrganMasks | None = None) -> NDArray[np.uint8]:
    """Label a CT by the rule of this module.

    Parameters
    ----------
    array
        HU, ``(slice, row, column)`` with slices across the body's long axis.
    spacing
        Voxel spacing in mm along ``(slice, row, column)``.
    masks
        Organs and bone as others outlined them, on the same grid; they decide where contrast medium is.

    Returns
    -------
    numpy.ndarray
        uint8 like ``array``, values of ``LABELS``.
    """
    body = _body(array, spacing)
    bone = _bone(array, body, spacing, masks)
    lung = _lung(array, body, spacing)
    labels = np.zeros(array.shape, np.uint8)
    labels[body] = BODY
    labels[lung] = LUNG
    labels[bone] = BONE
    return labels


def _body(array: Image, spacing: Sequence[float]) -> Mask:
    soft = np.asarray(array > SOFT_HU)
    element = disc(BODY_OPENING_MM, spacing)
    components = cc3d.connected_components(_open(soft, element), connectivity=6)
    if not components.any():
        return np.zeros(array.shape, bool)
    kept = np.isin(components, _parts(array, components, spacing))
    grown = ndimage.binary_dilation(kept, element) & soft
    return np.stack([ndimage.binary_fill_holes(plane) for plane in grown])


def _parts(array: Image, components: NDArray[np.integer[Any]], spacing: Sequence[float]) -> list[int]:
    """Return the largest component, and those that are as thick and as dense as a limb; a table is neither."""
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    least = LIMB_MIN_ML * 1000.0 / float(np.prod(spacing))
    element = disc(LIMB_RADIUS_MM, spacing)
    boxes = ndimage.find_objects(components)
    parts = [int(sizes.argmax())]
    for number in np.nonzero(sizes >= least)[0].tolist():
        box = boxes[number - 1]
        inside = components[box] == number
        thick = ndimage.binary_erosion(inside, element)  # what the image cuts off is not as thick as it may be
        if number != parts[0] and thick.any(axis=(1, 2)).mean() >= 0.5 and np.median(array[box][inside]) > LIMB_HU:
            parts.append(number)
    return parts


def _open(mask: Mask, element: Mask) -> Mask:
    return np.asarray(ndimage.binary_dilation(_erode(mask, element), element))


def _erode(mask: Mask, element: Mask) -> Mask:
    return np.asarray(ndimage.binary_erosion(mask, element, border_value=1))


def _lung(array: Image, body: Mask, spacing: Sequence[float]) -> Mask:
    dark = body & (array < LUNG_HU)
    components = cc3d.connected_components(dark, connectivity=6)
    voxel_ml = float(np.prod(spacing)) / 1000.0
    sizes = np.bincount(components.ravel()) * voxel_ml
    outside = ndimage.binary_dilation(~body & (array < LUNG_HU))
    open_to_air = set(np.unique(components[outside]).tolist())
    keep = [
        number
        for number in range(1, len(sizes))
        if sizes[number] >= LUNG_MIN_ML
        and number not in open_to_air
        and np.mean(array[components == number] < GAS_HU) <= LUNG_MAX_GAS
    ]
    lung = np.isin(components, keep)
    rim = ndimage.binary_dilation(lung, disc(max(LUNG_RIM_MM, *spacing[1:]), spacing)) & (array <= SOFT_HU)
    closed = ndimage.binary_closing(lung | rim, disc(LUNG_CLOSING_MM, spacing))
    return np.asarray((closed | lung | rim) & body)


def _bone(array: Image, body: Mask, spacing: Sequence[float], masks: OrganMasks | None) -> Mask:
    dense = body & (array > BONE_HU)
    opened = _open(dense, disc(BONE_OPENING_MM, spacing)) & dense
    if masks is not None:
        near_bone = _reached(masks.bone, spacing) & ~masks.contrast
        opened &= ~_reached(masks.contrast, spacing) | near_bone
    else:
        opened &= ~contrast_among(array, opened, spacing)
    least = max(1, round(BONE_MIN_ML * 1000.0 / float(np.prod(spacing))))
    return np.asarray(cc3d.dust(opened, threshold=least, connectivity=26))


def _reached(mask: Mask, spacing: Sequence[float]) -> Mask:
    return np.asarray(ndimage.binary_dilation(mask, disc(max(MASK_REACH_MM, *spacing[1:]), spacing)))
