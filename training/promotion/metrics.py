"""Figures of one predicted mask against the true one: Dice, the 95th percentile of surface distances, volumes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt, generate_binary_structure

from segmentation.boxes import bounding_boxes

PERCENTILE = 95.0


@dataclass(frozen=True)
class LabelFigures:
    """Figures of one label in one case.

    Attributes
    ----------
    dice
        None if neither mask holds the label.
    hd95_mm
        None unless both masks hold it.
    true_ml, predicted_ml
        Volumes.
    """

    dice: float | None
    hd95_mm: float | None
    true_ml: float
    predicted_ml: float


def compare_masks(true: NDArray[np.bool_], predicted: NDArray[np.bool_], spacing: Sequence[float]) -> LabelFigures:
    """Compare two masks of one label.

    Parameters
    ----------
    true, predicted
        ``(slice, row, column)``, of one shape.
    spacing
        In mm, in the axes' order.

    References
    ----------
    Taha and Hanbury, "Metrics for evaluating 3D medical image segmentation", 2015: Dice, and the Hausdorff distance at
    a quantile, here over both directions together, between the voxels at the masks' surfaces.
    """
    voxel_ml = float(np.prod(spacing)) / 1000.0
    in_true, in_predicted = int(true.sum()), int(predicted.sum())
    both = int((true & predicted).sum())
    dice = 2.0 * both / (in_true + in_predicted) if in_true + in_predicted else None
    hd95 = _hd95(true, predicted, spacing) if in_true and in_predicted else None
    return LabelFigures(dice, hd95, in_true * voxel_ml, in_predicted * voxel_ml)


def _hd95(true: NDArray[np.bool_], predicted: NDArray[np.bool_], spacing: Sequence[float]) -> float:
    box = tuple(
        slice(max(0, one.start - 1), one.stop + 1) for one in bounding_boxes((true | predicted).astype(np.uint8))[1]
    )
    surfaces = [_surface(mask[box]) for mask in (true, predicted)]
    distances = [distance_transform_edt(~other, sampling=spacing)[own] for own, other in (surfaces, surfaces[::-1])]
    return float(np.percentile(np.concatenate(distances), PERCENTILE))


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the voxels of a mask with a neighbour outside, across a face."""
    inner: NDArray[np.bool_] = binary_erosion(mask, generate_binary_structure(mask.ndim, 1))
    return mask & ~inner
