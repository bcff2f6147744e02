"""The regular grid on which an irregular stack is shown to a network.

It has the stack's own directions, so that every slice of an even stack stays as sharp as it was acquired: rows and
columns of its slices are moved, and only uneven slices are interpolated along the normal. ``docs/geometry.md`` compares
it with a grid along the scanner's axes.
"""

import numpy as np

from core.volume import Geometry

_ROUNDING = 1e-6
"""Part of a voxel by which a grid may fall short of a voxel's centre."""


def regular_grid(geometry: Geometry) -> Geometry:
    """Build the grid of a stack: its directions and pixels, its median gap, and room for every slice's offset.

    Along the normal it lies in the middle of the stack and ends at most a quarter of a gap beyond the first and last
    slice. A regular geometry is its own grid.
    """
    stack = geometry.stack
    if stack is None:
        return geometry
    gap, rows, columns = geometry.spacing
    height = float(stack.heights[-1])
    slices = max(1, round(height / gap)) + 1
    low, reach = stack.offsets.min(axis=0), np.ptp(stack.offsets, axis=0)
    more = np.ceil(reach / (rows, columns) - _ROUNDING).astype(int)
    corner = np.array([low[1], low[0], (height - (slices - 1) * gap) / 2])
    origin = geometry.direction @ corner + geometry.origin
    return Geometry(
        (slices, geometry.shape[1] + int(more[0]), geometry.shape[2] + int(more[1])),
        geometry.spacing,
        (float(origin[0]), float(origin[1]), float(origin[2])),
        geometry.direction,
    )
