"""nnU-Net's crop to the nonzero part of an image, found without a mask of the whole image.

References
----------
nnU-Net v2 ``preprocessing/cropping/cropping.py``.
"""

import numpy as np
from numpy.typing import NDArray

from segmentation.boxes import Box


def nonzero_box(image: NDArray[np.float32], acquired: NDArray[np.bool_] | None = None) -> Box:
    """Find the smallest box around all voxels that differ from zero in at least one channel.

    The box of an image that is zero throughout is the whole image.

    Filling the mask's holes, as nnU-Net does before, does not change its box.

    Parameters
    ----------
    image
        ``(channel, z, y, x)``.
    acquired
        ``(z, y, x)``: the voxels that count; all by default.
    """
    box: list[slice] = [slice(None)] * 3
    for axis in range(3):
        planes = np.moveaxis(image[(slice(None), *box)], 1 + axis, 0)
        counted = None if acquired is None else np.moveaxis(acquired[tuple(box)], axis, 0)
        first = next((index for index in range(len(planes)) if _is_used(planes, counted, index)), None)
        if first is None:
            return slice(0, image.shape[1]), slice(0, image.shape[2]), slice(0, image.shape[3])
        last = next(index for index in reversed(range(len(planes))) if _is_used(planes, counted, index))
        box[axis] = slice(first, last + 1)
    return box[0], box[1], box[2]


def _is_used(planes: NDArray[np.float32], counted: NDArray[np.bool_] | None, index: int) -> bool:
    return bool(planes[index].any() if counted is None else (planes[index] != 0)[:, counted[index]].any())


def nonzero_mask(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark the voxels that differ from zero in at least one channel, with enclosed holes filled.

    Zeros connected to the image's faces are outside; voxels connect across faces only, as in
    ``scipy.ndimage.binary_fill_holes``.

    Parameters
    ----------
    image
        ``(channel, z, y, x)``, cropped to its :func:`nonzero_box`.

    Returns
    -------
    numpy.ndarray
        ``(z, y, x)``.
    """
    import cc3d

    mask: NDArray[np.bool_] = image[0] != 0
    for channel in image[1:]:
        mask |= channel != 0
    if mask.all():
        return mask
    zeros = cc3d.connected_components(np.ascontiguousarray(~mask), connectivity=6)
    outside = np.zeros(int(zeros.max()) + 1, dtype=bool)
    for axis in range(3):
        ends = np.moveaxis(zeros, axis, 0)
        outside[np.unique(ends[[0, -1]])] = True
    outside[0] = False
    filled: NDArray[np.bool_] = ~outside[zeros]
    return filled
