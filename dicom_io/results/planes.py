"""Axial, coronal and sagittal planes of any acquisition, as a radiologist hangs them.

The patient's right is on the viewer's left, the head is up, and in the sagittal plane the front is on the left.
Oblique acquisitions are shown along their own axes, each named by the patient's axis nearest to it; the letters at
their edges name every side that they run to.
"""

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.volume import Geometry

LEAST_COSINE = 0.1
"""Smallest direction cosine for which an edge gets a letter: an axis that runs six degrees or more to that side."""

_SIDES = (("R", "L"), ("A", "P"), ("F", "H"))
"""Letters of the patient's sides against and along the x, y and z axis of LPS."""


@dataclass(frozen=True)
class PatientAxes:
    """The turn of an array ``(slice, row, column)`` after which its axes grow to the head, the back and the left.

    Attributes
    ----------
    order
        For head, back and left: the array's axis that runs along it.
    reverse
        Whether that axis runs against it.
    geometry
        The array's grid.
    """

    order: tuple[int, int, int]
    reverse: tuple[bool, bool, bool]
    geometry: Geometry

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of voxels in mm along head, back and left."""
        head, back, left = (self.geometry.spacing[axis] for axis in self.order)
        return head, back, left

    def direction(self, axis: int) -> NDArray[np.float64]:
        """Return the LPS unit vector along which an axis of the turned array grows."""
        along: NDArray[np.float64] = self.geometry.direction[:, 2 - self.order[axis]]
        return -along if self.reverse[axis] else along

    def position(self, axis: int, index: int) -> float:
        """Return the LPS coordinate in mm, nearest to an axis of the turned array, of the middle of a slice across it.

        That is z for slices across the axis to the head, y to the back, x to the left.
        """
        middle = (np.array(self.geometry.shape) - 1) / 2
        size = self.geometry.shape[self.order[axis]]
        middle[self.order[axis]] = size - 1 - index if self.reverse[axis] else index
        return float(self.geometry.index_to_lps(middle)[2 - axis])

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
    """

    name: str
    axis: int
    head_up: bool

    def cut(self, turned: NDArray[Any], index: int) -> NDArray[Any]:
        """Return the ``(row, column)`` picture at an index of the view's axis."""
        picture: NDArray[Any] = np.take(turned, index, axis=self.axis)
        return picture[::-1] if self.head_up else picture

    def spacing(self, axes: PatientAxes) -> tuple[float, float]:
        """Return the ``(row, column)`` spacing in mm."""
        row, column = (s for axis, s in enumerate(axes.spacing) if axis != self.axis)
        return row, column

    def letters(self, axes: PatientAxes) -> tuple[str, str, str, str]:
        """Name the patient's sides at the left, right, top and bottom of the picture."""
        down, right = (axes.direction(axis) for axis in range(3) if axis != self.axis)
        if self.head_up:
            down = -down
        return side_letters(-right), side_letters(right), side_letters(-down), side_letters(down)

    def position(self, axes: PatientAxes, index: int) -> str:
        """Write where a slice lies, as the LPS coordinate of its middle."""
        return f"{self.name}, {'zyx'[self.axis]} = {axes.position(self.axis, index):.1f} mm"


PLANES = (Plane("axial", 0, False), Plane("coronal", 1, True), Plane("sagittal", 2, True))


def side_letters(direction: NDArray[np.float64]) -> str:
    """Name the sides of the patient to which an LPS vector points, the nearest first, as in Patient Orientation.

    References
    ----------
    PS3.3 C.7.6.1.1.1.
    """
    sides = [(abs(cosine), pair[int(cosine > 0)]) for cosine, pair in zip(direction, _SIDES, strict=True)]
    return "".join(letter for size, letter in sorted(sides, key=lambda side: -side[0]) if size >= LEAST_COSINE)


def patient_axes(geometry: Geometry) -> PatientAxes:
    """Find the array axes that run most nearly to the head, the back and the left (LPS z, y, x)."""
    along = geometry.direction[:, ::-1]  # columns: slice, row, column
    order = max(permutations(range(3)), key=lambda p: sum(abs(along[2 - target, p[target]]) for target in range(3)))
    reverse = tuple(bool(along[2 - target, order[target]] < 0) for target in range(3))
    return PatientAxes(order, reverse, geometry)  # type: ignore[arg-type]  # three of each by construction
