"""The published rule that labels body, lung and bone in a CT: thresholds and connected components, no network.

1. **Body**: soft voxels above -300 HU, opened in plane by 4 mm so that a table or blanket that touches the skin
   falls off; the largest component; what the opening took off within reach of it is given back; holes filled
   slice by slice.
2. **Lung**: inside the body, below -500 HU; components (6 neighbours) of at least 20 ml of which at most 5 % lies
   below -940 HU, and which do not lead to the air outside. Bowel gas is smaller or darker (it holds no tissue),
   and a fold of skin is open to the outside. Gaps of less than 4 mm (vessels, airway walls) are closed in plane.
3. **Bone**: inside the body, above 200 HU, opened in plane by 1 mm (nothing, where a voxel is wider), components
   of at least 0.5 ml.

The labels are disjoint: bone wins over lung, both over body. Thresholds cannot tell bone from dense contrast medium:
oral contrast in the bowel, arteries in the arterial phase and urine in the excretory phase count as bone.
"""

from collections.abc import Sequence
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BACKGROUND, BODY, LUNG, BONE = 0, 1, 2, 3
LABELS = {"background": BACKGROUND, "body": BODY, "lung": LUNG, "bone": BONE}

SOFT_HU = -300.0
LUNG_HU = -500.0
BONE_HU = 200.0
BODY_OPENING_MM = 4.0
LUNG_MIN_ML = 20.0
GAS_HU = -940.0
LUNG_MAX_GAS = 0.05
LUNG_CLOSING_MM = 4.0
BONE_OPENING_MM = 1.0
BONE_MIN_ML = 0.5

Image = NDArray[Any]
Mask = NDArray[np.bool_]


def label_tissues(array: Image, spacing: Sequence[float]) -> NDArray[np.uint8]:
    """Label a CT by the rule of this module.

    Parameters
    ----------
    array
        HU, ``(slice, row, column)`` with slices across the body's long axis.
    spacing
        Voxel spacing in mm along ``(slice, row, column)``.

    Returns
    -------
    numpy.ndarray
        uint8 like ``array``, values of ``LABELS``.
    """
    body = _body(array, spacing)
    bone = _bone(array, body, spacing)
    lung = _lung(array, body, spacing)
    labels = np.zeros(array.shape, np.uint8)
    labels[body] = BODY
    labels[lung] = LUNG
    labels[bone] = BONE
    return labels


def _disc(radius_mm: float, spacing: Sequence[float]) -> Mask:
    """Build an in-plane structuring element ``(1, row, column)``."""
    rows, columns = (int(radius_mm / s + 1e-6) for s in spacing[1:])
    y, x = np.mgrid[-rows : rows + 1, -columns : columns + 1]
    return np.asarray((y * spacing[1]) ** 2 + (x * spacing[2]) ** 2 <= radius_mm**2 + 1e-6)[None]


def _body(array: Image, spacing: Sequence[float]) -> Mask:
    soft = np.asarray(array > SOFT_HU)
    disc = _disc(BODY_OPENING_MM, spacing)
    core = ndimage.binary_dilation(_erode(soft, disc), disc)
    components = cc3d.connected_components(core, connectivity=6)
    if not components.any():
        return np.zeros(array.shape, bool)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    largest = ndimage.binary_dilation(components == sizes.argmax(), disc) & soft
    return np.stack([ndimage.binary_fill_holes(plane) for plane in largest])


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
    closed = ndimage.binary_closing(lung, _disc(LUNG_CLOSING_MM, spacing))
    return np.asarray((closed | lung) & body)


def _bone(array: Image, body: Mask, spacing: Sequence[float]) -> Mask:
    dense = body & (array > BONE_HU)
    disc = _disc(BONE_OPENING_MM, spacing)
    opened = ndimage.binary_dilation(_erode(dense, disc), disc)
    least = max(1, round(BONE_MIN_ML * 1000.0 / float(np.prod(spacing))))
    return np.asarray(cc3d.dust(opened, threshold=least, connectivity=26))
