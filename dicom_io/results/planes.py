"""Axial, coronal and sagittal planes of any acquisition, as a radiologist hangs them.

The patient's right is on the viewer's left, the head is up, and in the sagittal plane the front is on the left.
Oblique acquisitions are shown along their own axes, each named by the patient's axis nearest to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.volume import Geometry

SEARCH_VOXELS = 8_000_000
"""Above this number of voxels, the slice with most labels is searched on a coarser grid."""


@dataclass(frozen=True)
class PatientAxes:
    """The turn of an array ``(slice, row, column)`` after which its axes grow to the head, the back and the left.

    Attributes
    ----------
    order
        For head, back and left: the array's axis that runs along it.
    reverse
        Whether that axis runs against it.
    spacing
        Distance of voxels in mm along head, back and left.
    """

    order: tuple[int, int, int]
    reverse: tuple[bool, bool, bool]
    spacing: tuple[float, float, float]

    def turn(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a view of the array with axes to the head, the back and the left."""
        turned: NDArray[Any] = array.transpose(self.order)[
            tuple(slice(None, None, -1 if r else 1) for r in self.reverse)
        ]
        return turned


@dataclass(frozen=True)
class Plane:
    """One of the three views of a turned array.

    Attributes
    ----------
    name
        ``axial``, ``coronal`` or ``sagittal``.
    axis
        The axis of the turned array that the view looks along.
    head_up
        Whether rows run from head to feet, against the turned array.
    letters
        The patient's sides at the left, right, top and bottom of the picture.
    """

    name: str
    axis: int
    head_up: bool
    letters: tuple[str, str, str, str]

    def cut(self, turned: NDArray[Any], index: int) -> NDArray[Any]:
        """Return the ``(row, column)`` picture at an index of the view's axis."""
        picture: NDArray[Any] = np.take(turned, index, axis=self.axis)
        return picture[::-1] if self.head_up else picture

    def spacing(self, axes: PatientAxes) -> tuple[float, float]:
        """Return the ``(row, column)`` spacing in mm."""
        row, column = (s for axis, s in enumerate(axes.spacing) if axis != self.axis)
        return row, column


PLANES = (
    Plane("axial", 0, False, ("R", "L", "A", "P")),
    Plane("coronal", 1, True, ("R", "L", "H", "F")),
    Plane("sagittal", 2, True, ("A", "P", "H", "F")),
)


def patient_axes(geometry: Geometry) -> PatientAxes:
    """Find the array axes that run most nearly to the head, the back and the left (LPS z, y, x)."""
    along = geometry.direction[:, ::-1]  # columns: slice, row, column
    order = max(permutations(range(3)), key=lambda p: sum(abs(along[2 - target, p[target]]) for target in range(3)))
    reverse = tuple(bool(along[2 - target, order[target]] < 0) for target in range(3))
    spacing = tuple(geometry.spacing[axis] for axis in order)
    return PatientAxes(order, reverse, spacing)  # type: ignore[arg-type]  # three of each by construction


def telling_slices(labels: NDArray[Any]) -> Sequence[int]:
    """Find for each axis the slice that crosses most labels, and of those the one with most labelled voxels."""
    stride = max(1, int(np.ceil((labels.size / SEARCH_VOXELS) ** (1 / 3))))
    coarse = labels[::stride, ::stride, ::stride]
    if not coarse.any():
        coarse, stride = labels, 1
    if not coarse.any():
        return [size // 2 for size in labels.shape]
    return [stride * max(range(coarse.shape[a]), key=lambda i: _weight(coarse.take(i, axis=a))) for a in range(3)]


def _weight(plane: NDArray[Any]) -> tuple[int, int]:
    counts = np.bincount(plane.ravel())[1:]
    return int(np.count_nonzero(counts)), int(counts.sum())
