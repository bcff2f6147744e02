"""Made irregular stacks, and shapes whose logits and labels are known at every point of the patient."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from core.irregular_stack import IrregularStack
from core.volume import Geometry
from segmentation.package.network_spec import Configuration
from segmentation.preprocessing.interpolation import nearest_index
from segmentation.preprocessing.orientation import Reorientation
from segmentation.preprocessing.preprocess import Grids
from segmentation.preprocessing.target_grid import axis_of, resampled_shape

SHAPES = (
    (np.array([0.0, 0.0, 0.0]), 26.0),
    (np.array([-22.0, 14.0, 9.0]), 17.0),
    (np.array([15.0, -18.0, -20.0]), 14.0),
    (np.array([25.0, 22.0, 16.0]), 9.0),
)
"""Centres in LPS mm and radii in mm of balls, in front of each other; the patient is asymmetric on every axis."""


def made_stack(
    gaps: Sequence[float],
    degrees: float = 0.0,
    direction: ArrayLike | None = None,
    in_plane: tuple[int, int] = (52, 50),
    pixels: tuple[float, float] = (1.6, 1.4),
    sideways: float = 0.0,
) -> Geometry:
    """Build a stack around the origin, its slices shifted along the rows (and columns) as under a tilted gantry."""
    heights = np.concatenate([[0.0], np.cumsum(gaps)])
    slope = np.array([np.tan(np.radians(degrees)), sideways])
    stack = IrregularStack(heights, heights[:, None] * slope)
    turn = np.eye(3) if direction is None else np.asarray(direction, float)
    local = -np.array([(in_plane[1] - 1) / 2 * pixels[1], (in_plane[0] - 1) / 2 * pixels[0], heights[-1] / 2])
    local[:2] -= heights[-1] / 2 * slope[::-1]
    origin = turn @ local
    shape = (len(heights), *in_plane)
    spacing = (stack.median_gap, *pixels)
    return Geometry(shape, spacing, (float(origin[0]), float(origin[1]), float(origin[2])), turn, stack)


def points_of(geometry: Geometry) -> NDArray[np.float64]:
    """Return the LPS position of every voxel, ``(slice, row, column, 3)``."""
    return geometry.index_to_lps(np.moveaxis(np.indices(geometry.shape), 0, -1))


def logits_at(points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the logits ``(output, …)`` of the shapes at points: the depth in mm below each ball's surface."""
    depths = [(radius - np.linalg.norm(points - centre, axis=-1)) / 2 for centre, radius in SHAPES]
    return np.stack([np.zeros_like(depths[0]), *depths]).astype(np.float32)


def grids_of(grid: Geometry, turn: Reorientation, configuration: Configuration) -> Grids:
    """Return the way from a whole regular grid to the network's."""
    forward = configuration.transpose_forward
    shape = [grid.shape[turn.axes[axis]] for axis in forward]
    spacing = [grid.spacing[turn.axes[axis]] for axis in forward]
    new = (*spacing[: 3 - len(configuration.spacing)], *configuration.spacing)
    if configuration.resampling_data.function == "no_resampling_hack":
        new = tuple(spacing)
    box = tuple(slice(0, size) for size in shape)
    return Grids(tuple(shape), box, tuple(spacing), tuple(new), resampled_shape(shape, spacing, new))  # type: ignore[arg-type]  # three of each


def network_logits(grid: Geometry, turn: Reorientation, grids: Grids, configuration: Configuration) -> torch.Tensor:
    """Return the shapes' logits float16 ``(output, z, y, x)`` at the voxels of the network's grid.

    Along an axis that is resampled apart the network sees the nearest slices, so its logits belong to their places.
    """
    apart = axis_of(configuration.resampling_data, grids.spacing, grids.new_spacing)
    axes = [
        nearest_index(old, new).astype(float) if axis == apart else (np.arange(new) + 0.5) * old / new - 0.5
        for axis, (old, new) in enumerate(zip(grids.cropped_shape, grids.new_shape, strict=True))
    ]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    turned = np.empty_like(index)
    for number, axis in enumerate(configuration.transpose_forward):
        turned[..., axis] = index[..., number]
    own = np.empty_like(index)
    for number, (axis, flip) in enumerate(zip(turn.axes, turn.flips, strict=True)):
        own[..., axis] = grid.shape[axis] - 1 - turned[..., number] if flip else turned[..., number]
    return torch.from_numpy(logits_at(grid.index_to_lps(own))).half()
