"""The slices of a picture: those in which the largest components of its labels are seen best."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SEARCH_VOXELS: Final = 8_000_000
"""Above this number of voxels in a label's box, its largest component is searched on a coarser grid."""

_NEIGHBOURS: Final = np.ones((3, 3, 3), dtype=np.bool_)


def best_slices(labels: NDArray[Any], values: Sequence[int]) -> list[int]:
    """Find for each axis the slice that shows most of the labels' largest components.

    A component's cross-section in a slice counts as a share of its own largest one, so that a large label does not
    outvote a small one, and specks beside the largest component count nothing.

    Parameters
    ----------
    labels
        ``(slice, row, column)``, or turned; any integers.
    values
        The labels to be shown; one without voxels counts nothing.

    Returns
    -------
    list of int
        An index for each axis; the middle if there is nothing to show.
    """
    shares = [np.zeros(size) for size in labels.shape]
    boxes = ndimage.find_objects(labels, max(values, default=1))
    for value in values:
        if (box := boxes[value - 1]) is not None:
            _add_shares(shares, labels[box] == value, [side.start for side in box])
    return [int(share.argmax()) if share.any() else len(share) // 2 for share in shares]


def _add_shares(shares: Sequence[NDArray[np.float64]], mask: NDArray[np.bool_], starts: Sequence[int]) -> None:
    stride = max(1, int(np.ceil((mask.size / SEARCH_VOXELS) ** (1 / 3))))
    coarse = mask[::stride, ::stride, ::stride]
    if not coarse.any():
        coarse, stride = mask, 1
    components, _ = ndimage.label(coarse, _NEIGHBOURS)
    largest = components == np.bincount(components.ravel())[1:].argmax() + 1
    for axis, share in enumerate(shares):
        area = largest.sum(axis=tuple(other for other in range(3) if other != axis), dtype=np.float64)
        spread = np.repeat(area / area.max(), stride)[: mask.shape[axis]]
        share[starts[axis] : starts[axis] + len(spread)] += spread
