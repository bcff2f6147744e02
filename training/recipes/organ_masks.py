"""The organs that other masks name in an image: where contrast medium may be, and where bone must be.

The masks of TotalSegmentator come in two numberings of classes; a phantom knows its own anatomy.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phantom import LABEL_NAMES

Mask = NDArray[np.bool_]

GROUPS = ("kidney", "vessel", "heart", "bowel", "stomach", "bladder")
"""Organs that contrast medium brightens."""

_VERSION_1: Mapping[str, tuple[int, ...]] = {
    "kidney": (2, 3),
    "vessel": (7, 8, 9, 49, 51, 52, 53, 54),
    "heart": (44, 45, 46, 47, 48),
    "bowel": (55, 56, 57),
    "stomach": (6,),
    "bladder": (104,),
    "bone": (*range(18, 42), *range(58, 93)),
}
_VERSION_2: Mapping[str, tuple[int, ...]] = {
    "kidney": (2, 3),
    "vessel": (52, 53, 54, 63, 64, 65, 66, 67, 68),
    "heart": (51,),
    "bowel": (18, 19, 20),
    "stomach": (6,),
    "bladder": (21,),
    "bone": (*range(25, 51), *range(69, 79), *range(91, 118)),
}
TOTALSEGMENTATOR = {1: _VERSION_1, 2: _VERSION_2}
"""Numbers of the classes of each group, by TotalSegmentator's version."""

_PHANTOM = {
    "kidney": ("kidney_right", "kidney_left", "kidney_tumour"),
    "vessel": ("artery", "vein"),
    "heart": ("heart",),
    "bowel": ("bowel",),
    "stomach": ("stomach",),
    "bladder": ("bladder", "ureter_right", "ureter_left"),
    "bone": ("bone",),
}


@dataclass(frozen=True)
class OrganMasks:
    """Masks of the groups and of bone on one grid, ``(slice, row, column)``."""

    organs: Mapping[str, Mask]
    bone: Mask

    @property
    def contrast(self) -> Mask:
        """All organs that may hold contrast medium, bone left out."""
        return np.asarray(np.logical_or.reduce(list(self.organs.values())) & ~self.bone)

    def averaged(self, bottom: int, thick: int) -> "OrganMasks":
        """Return the masks of a volume that is shortened, and whose slices are averaged; a part counts as a whole."""

        def one(mask: Mask) -> Mask:
            count = (len(mask) - bottom) // thick
            parts = mask[bottom : bottom + count * thick].reshape(count, thick, *mask.shape[1:])
            return np.asarray(parts.any(axis=1))

        return OrganMasks({name: one(mask) for name, mask in self.organs.items()}, one(self.bone))


def masks_of_classes(classes: NDArray[np.integer], version: int) -> OrganMasks:
    """Sort the classes of a TotalSegmentator mask into groups.

    Parameters
    ----------
    classes
        Class numbers ``(slice, row, column)``.
    version
        Of the numbering: 1 (104 classes) or 2 (117).
    """
    masks = {name: np.isin(classes, numbers) for name, numbers in TOTALSEGMENTATOR[version].items()}
    return OrganMasks({name: masks[name] for name in GROUPS}, masks["bone"])


def masks_of_phantom(labels: NDArray[np.uint8]) -> OrganMasks:
    """Sort the labels of a phantom into groups."""
    values = {name: value for value, name in LABEL_NAMES.items()}
    masks = {name: np.isin(labels, [values[part] for part in parts]) for name, parts in _PHANTOM.items()}
    return OrganMasks({name: masks[name] for name in GROUPS}, masks["bone"])
