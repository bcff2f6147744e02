"""An image as the header of its file states it, checked before a voxel is read or memory is taken."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.volume import Geometry

SPACING_MM: Final = (1e-3, 1e3)
"""Spacings outside are of no patient; quantities that follow from them, a kernel's width, would be unbounded."""
FARTHEST_MM: Final = 1e5
"""Largest coordinate of an image's origin: no scanner's table is a hundred metres long."""
ORTHOGONAL: Final = 1e-3
"""Largest deviation of the axes' dot products from those of a right-angled grid; headers are float32 or short text."""

QUATERNION: Final = 5e-4
"""Largest error in radians of a rotation that is stored as three float32 of a quaternion."""


class FileDefect(ValueError):
    """A file is damaged, or of a kind that is not read; the text names neither its path nor what it holds."""


class Packing(Enum):
    """The form in which the voxels lie in the file."""

    RAW = "raw"
    GZIP = "gzip"
    """They alone are a gzip stream (NRRD)."""
    ZLIB = "zlib"
    """They alone are a zlib stream (MetaImage)."""
    GZIP_FILE = "gzip file"
    """The whole file is a gzip stream, header and all (NIfTI)."""


@dataclass(frozen=True, eq=False)
class StoredImage:
    """An image as its file's header states it.

    Attributes
    ----------
    geometry
        Its grid, LPS in mm.
    dtype
        Type of one voxel as stored, with its byte order.
    offset
        Where the voxels, or the stream that holds them, begin; in a gzip file counted in what it unpacks to.
    packing
        How they lie there.
    packed_bytes
        Length of the stream, where the header states it.
    """

    geometry: Geometry
    dtype: "np.dtype[Any]"
    offset: int
    packing: Packing
    packed_bytes: int | None = None

    @property
    def content_bytes(self) -> int:
        """Return the bytes of all voxels, unpacked."""
        return math.prod(self.geometry.shape) * self.dtype.itemsize


def nearly(grid: Geometry) -> float:
    """Return the distance in mm within which two statements of a grid are one.

    Half a voxel, and what a rotation loses as a quaternion of float32: near half a turn some 3e-4 of the distance.
    """
    extent = math.dist((0.0, 0.0, 0.0), [n * mm for n, mm in zip(grid.shape, grid.spacing, strict=True)])
    return 0.5 * min(grid.spacing) + QUATERNION * extent


def grid_of(size: Sequence[int], axes: NDArray[np.float64], origin: Sequence[float]) -> Geometry:
    """Make the grid that a header states.

    Parameters
    ----------
    size
        Voxels along x, y, z of the file: column, row, slice.
    axes
        ``(3, 3)``, LPS in mm: a column is the step from a voxel to the next along x, y, z of the file.
    origin
        LPS in mm.

    Raises
    ------
    FileDefect
        If it is no right-angled grid of a possible spacing at a possible place.
    """
    if len(size) != 3 or min(size) < 1:
        sizes = " x ".join(map(str, size))
        raise FileDefect(f"it holds {sizes} voxels; expected a single 3d image with at least one voxel an axis")
    if not (np.isfinite(axes).all() and all(math.isfinite(value) and abs(value) <= FARTHEST_MM for value in origin)):
        raise FileDefect("its header places the image nowhere in a patient: coordinates are not finite, or too large")
    spacing = np.linalg.norm(axes, axis=0)
    if not all(SPACING_MM[0] <= mm <= SPACING_MM[1] for mm in spacing):
        given = " x ".join(f"{mm:g}" for mm in spacing)
        raise FileDefect(
            f"its header states no valid spacing: {given} mm, expected {SPACING_MM[0]:g} to {SPACING_MM[1]:g}"
        )
    direction = axes / spacing
    if np.abs(direction.T @ direction - np.eye(3)).max() > ORTHOGONAL:
        raise FileDefect("the axes of its grid are not at right angles; resample it to a grid whose axes are")
    x, y, z = spacing.tolist()
    return Geometry((size[2], size[1], size[0]), (z, y, x), (origin[0], origin[1], origin[2]), direction)
