"""Solid shapes in patient coordinates (LPS, mm), each of which can test whether points lie inside it.

A shape gives a bounding box, so that only the voxels near it are looked at, and a test for points. Coordinates
come as three arrays that broadcast against each other.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float, float]
Coordinates = NDArray[np.floating[Any]]
Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]


class Shape(Protocol):
    """The interface of a shape for the painter."""

    def bounds(self) -> Bounds:
        """Return the lower and upper corner of the bounding box, LPS mm."""

    def inside(self, x: Coordinates, y: Coordinates, z: Coordinates) -> NDArray[np.bool_]:
        """Return for each point (LPS mm) whether it lies inside."""


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid, turned about the patient's three axes in the order x, y, z.

    Attributes
    ----------
    centre, radii
        mm, in LPS.
    angles
        Rotation in degrees about x, y and z.
    """

    centre: Point
    radii: Point
    angles: Point = (0.0, 0.0, 0.0)

    def _rotation(self) -> NDArray[np.float64]:
        rotation = np.eye(3)
        for axis, angle in enumerate(np.deg2rad(self.angles)):
            one = np.eye(3)
            i, j = (axis + 1) % 3, (axis + 2) % 3
            one[i, i] = one[j, j] = np.cos(angle)
            one[i, j], one[j, i] = -np.sin(angle), np.sin(angle)
            rotation = one @ rotation
        return rotation

    def bounds(self) -> Bounds:
        """Return the lower and upper corner of the bounding box, LPS mm."""
        reach = np.sqrt(((self._rotation() * np.array(self.radii)) ** 2).sum(axis=1))
        return np.array(self.centre) - reach, np.array(self.centre) + reach

    def inside(self, x: Coordinates, y: Coordinates, z: Coordinates) -> NDArray[np.bool_]:
        """Return for each point (LPS mm) whether it lies inside."""
        along = self._rotation().T / np.array(self.radii)[:, None]
        dx, dy, dz = x - self.centre[0], y - self.centre[1], z - self.centre[2]
        total = sum((float(a) * dx + float(b) * dy + float(c) * dz) ** 2 for a, b, c in along)
        return np.asarray(total <= 1.0)


@dataclass(frozen=True)
class Capsule:
    """A straight piece of a tube with round ends, whose radius may change along it (mm)."""

    start: Point
    end: Point
    start_radius: float
    end_radius: float

    def bounds(self) -> Bounds:
        """Return the lower and upper corner of the bounding box, LPS mm."""
        reach = max(self.start_radius, self.end_radius)
        both = np.array([self.start, self.end])
        return both.min(axis=0) - reach, both.max(axis=0) + reach

    def inside(self, x: Coordinates, y: Coordinates, z: Coordinates) -> NDArray[np.bool_]:
        """Return for each point (LPS mm) whether it lies inside."""
        axis = np.subtract(self.end, self.start)
        squared = float(axis @ axis) or 1.0
        dx, dy, dz = x - self.start[0], y - self.start[1], z - self.start[2]
        along = np.clip((float(axis[0]) * dx + float(axis[1]) * dy + float(axis[2]) * dz) / squared, 0.0, 1.0)
        radius = self.start_radius + (self.end_radius - self.start_radius) * along
        distance = sum((d - along * float(a)) ** 2 for d, a in zip((dx, dy, dz), axis, strict=True))
        return np.asarray(distance <= radius**2)


def tube(points: NDArray[np.float64], radius: float, end_radius: float | None = None) -> list[Capsule]:
    """Build capsules along a line of ``(n, 3)`` LPS points; their radius (mm) changes evenly from start to end."""
    radii = np.linspace(radius, radius if end_radius is None else end_radius, len(points))
    corners: list[Point] = [(float(p[0]), float(p[1]), float(p[2])) for p in points]
    return [Capsule(corners[i], corners[i + 1], float(radii[i]), float(radii[i + 1])) for i in range(len(corners) - 1)]


@dataclass(frozen=True)
class Column:
    """A trunk: a rounded rectangle in the axial plane whose half widths change along z.

    Attributes
    ----------
    levels
        Heights z in mm, rising, at which the half widths are given; beyond the ends they stay as they are.
    half_x, half_y
        Half widths in mm at these heights.
    centre
        x and y of the axis in mm.
    bottom, top
        Heights between which the column exists, mm.
    exponent
        2 is an ellipse, larger is squarer.
    """

    levels: tuple[float, ...]
    half_x: tuple[float, ...]
    half_y: tuple[float, ...]
    centre: tuple[float, float] = (0.0, 0.0)
    bottom: float = -2000.0
    top: float = 2000.0
    exponent: float = 2.0

    def bounds(self) -> Bounds:
        """Return the lower and upper corner of the bounding box, LPS mm."""
        x, y = self.centre
        lower = np.array([x - max(self.half_x), y - max(self.half_y), self.bottom])
        return lower, np.array([x + max(self.half_x), y + max(self.half_y), self.top])

    def inside(self, x: Coordinates, y: Coordinates, z: Coordinates) -> NDArray[np.bool_]:
        """Return for each point (LPS mm) whether it lies inside."""
        half_x = np.interp(z, self.levels, self.half_x).astype(z.dtype)
        half_y = np.interp(z, self.levels, self.half_y).astype(z.dtype)
        across = np.abs((x - self.centre[0]) / half_x) ** self.exponent
        across = across + np.abs((y - self.centre[1]) / half_y) ** self.exponent
        return np.asarray((across <= 1.0) & (z >= self.bottom) & (z <= self.top))


@dataclass(frozen=True)
class Box:
    """A box along the patient's axes, from its lower to its upper corner (LPS mm)."""

    lower: Point
    upper: Point

    def bounds(self) -> Bounds:
        """Return the lower and upper corner of the bounding box, LPS mm."""
        return np.array(self.lower), np.array(self.upper)

    def inside(self, x: Coordinates, y: Coordinates, z: Coordinates) -> NDArray[np.bool_]:
        """Return for each point (LPS mm) whether it lies inside."""
        low, high = self.lower, self.upper
        in_x, in_y = (x >= low[0]) & (x <= high[0]), (y >= low[1]) & (y <= high[1])
        return np.asarray(in_x & in_y & (z >= low[2]) & (z <= high[2]))
