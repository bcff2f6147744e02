"""The way of an image into the axis order in which a model was trained, and of its labels exactly back.

Axes are permuted and flipped, never interpolated: an oblique image keeps its angle and gets the nearest order.

References
----------
ITK ``DICOMOrientImageFilter``, nibabel ``io_orientation``; both take the largest direction cosine first.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.model_config import Orientation
from core.volume import Geometry

# Patient axes of an array (slice, row, column): slices always grow to the head; rows and columns grow to the back and
# to the left in LPS, to the front and to the right in RAS. Signs are relative to LPS axes (x, y, z) = (0, 1, 2).
_TARGETS = {"LPS": ((2, 1), (1, 1), (0, 1)), "RAS": ((2, 1), (1, -1), (0, -1))}


@dataclass(frozen=True)
class Reorientation:
    """A permutation of ``(slice, row, column)`` followed by flips.

    Attributes
    ----------
    axes
        For each axis of the result, the axis of the input it is taken from.
    flips
        For each axis of the result, True if it runs backwards.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """Reorient the last three axes; the result is a view."""
        lead = array.ndim - 3
        moved = array.transpose(*range(lead), *(lead + axis for axis in self.axes))
        index: tuple[Any, ...] = (..., *(slice(None, None, -1 if flip else 1) for flip in self.flips))
        reoriented: NDArray[Any] = moved[index]
        return reoriented

    def undo(self, array: NDArray[Any]) -> NDArray[Any]:
        """Bring an array ``(slice, row, column)`` in the result's order back to the input's; the result is a view."""
        flipped = array[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]
        return flipped.transpose(*(self.axes.index(axis) for axis in range(3)))

    def spacing(self, spacing: tuple[float, float, float]) -> tuple[float, float, float]:
        """Reorder a spacing in mm from the input's axes to the result's."""
        return spacing[self.axes[0]], spacing[self.axes[1]], spacing[self.axes[2]]


def reorientation(geometry: Geometry, orientation: Orientation) -> Reorientation:
    """Find the permutation and flips that turn an array on ``geometry`` into a model's axis order.

    Parameters
    ----------
    orientation
        ``RAS`` and ``LPS`` name the directions in which column, row and slice grow; ``acquired`` changes nothing.
    """
    if orientation == "acquired":
        return Reorientation((0, 1, 2), (False, False, False))
    nearest = _nearest_axes(geometry.direction)
    axes, flips = [], []
    for patient_axis, sign in _TARGETS[orientation]:
        column, found_sign = nearest[patient_axis]
        axes.append(2 - column)  # the direction's columns are x, y, z; the array's axes are z, y, x
        flips.append(found_sign != sign)
    return Reorientation((axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]))


def _nearest_axes(direction: NDArray[np.float64]) -> dict[int, tuple[int, int]]:
    cosines = np.abs(direction)
    nearest = {}
    for _ in range(3):
        patient_axis, column = np.unravel_index(int(np.argmax(cosines)), (3, 3))
        nearest[int(patient_axis)] = (int(column), 1 if direction[patient_axis, column] > 0 else -1)
        cosines[patient_axis, :] = cosines[:, column] = -1.0
    return nearest
