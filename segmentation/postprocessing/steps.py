"""The post-processing steps of ``model.yaml``, which clean a mask in physical units.

Every step works inside the bounding boxes of the labels it touches, so that a hundred labels cost little more than
their own voxels.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import cc3d
import numpy as np
from numpy.typing import NDArray

from core.label_map import LabelMap
from core.model_config import FillHoles, KeepLargest, Open, PostprocessingStep, RemoveSmall
from segmentation.boxes import Box, bounding_boxes, union
from segmentation.postprocessing.distances import deeper_than
from segmentation.postprocessing.smoothing import smooth_labels

FULL_CONNECTIVITY: Final = 26
"""Voxels that share a corner are one component, as in nnU-Net's post-processing."""
FACE_CONNECTIVITY: Final = 6
"""Holes are joined through faces only, since the label around them is joined through corners."""

Mask = NDArray[np.bool_]


def postprocess(label_map: LabelMap, steps: Sequence[PostprocessingStep]) -> LabelMap:
    """Apply post-processing steps in their order; the input stays as it is.

    Parameters
    ----------
    label_map
        The mask; volumes in mm³ and lengths in mm follow from its geometry.
    steps
        From ``model.yaml``. A step without labels concerns every label of the map.

    References
    ----------
    nnU-Net v2 ``postprocessing/remove_connected_components.py``: ``keep_largest`` gives the same voxels as its
    ``remove_all_but_largest_component_from_segmentation``; of components of equal size all are kept.
    """
    if not steps:
        return label_map
    array = label_map.array.copy()
    everything = tuple(spec.value for spec in label_map.labels)
    volume_mm3 = label_map.geometry.voxel_volume_mm3
    for step in steps:
        values = step.labels or everything
        if isinstance(step, KeepLargest):
            _keep_largest(array, values, step)
        elif isinstance(step, RemoveSmall):
            _remove_small(array, values, step, volume_mm3)
        elif isinstance(step, FillHoles):
            _fill_holes(array, values, step, volume_mm3)
        elif isinstance(step, Open):
            _open(array, values, step.radius_mm, label_map.geometry.spacing)
        else:
            smooth_labels(array, values, step.sigma_mm, label_map.geometry.spacing)
    return replace(label_map, array=array)


def _keep_largest(array: NDArray[Any], values: Iterable[int], step: KeepLargest) -> None:
    def unwanted(sizes: NDArray[np.int64]) -> Mask:
        wanted = np.sort(sizes)[::-1][: step.components]
        smaller: Mask = sizes < wanted[-1]
        return smaller

    _clear_components(array, [tuple(values)] if step.together else [(value,) for value in values], unwanted)


def _remove_small(array: NDArray[Any], values: Iterable[int], step: RemoveSmall, volume_mm3: float) -> None:
    least = step.min_volume_mm3 / volume_mm3 * (1 - 1e-9)  # a component of exactly the volume stays
    _clear_components(array, [(value,) for value in values], lambda sizes: sizes < least)


def _clear_components(
    array: NDArray[Any], groups: Sequence[tuple[int, ...]], unwanted: Callable[[NDArray[np.int64]], Mask]
) -> None:
    """Set the components of each group of labels that ``unwanted`` picks by their sizes to background."""
    boxes = bounding_boxes(array)
    for values in groups:
        box = union(boxes[value] for value in values if value in boxes)
        if box is None:
            continue
        part = array[box]
        components = cc3d.connected_components(_is_any(part, values), connectivity=FULL_CONNECTIVITY)
        sizes = _sizes(components)
        drop = np.concatenate([[False], unwanted(sizes[1:])])
        if drop.any():
            part[drop[components]] = 0


def _fill_holes(array: NDArray[Any], values: Iterable[int], step: FillHoles, volume_mm3: float) -> None:
    """Give the background inside a label to it; nested labels go from the inside out, so that each fills its own."""
    boxes = bounding_boxes(array)
    for value in sorted((v for v in values if v in boxes), key=lambda v: (_size(boxes[v]), v)):
        part = array[boxes[value]]
        outside = np.pad(part != value, 1, constant_values=True)
        components = cc3d.connected_components(outside, connectivity=FACE_CONNECTIVITY)
        sizes = _sizes(components)
        hole = np.ones(sizes.size, dtype=np.bool_)
        hole[[0, components[0, 0, 0]]] = False
        if step.max_volume_mm3 is not None:
            hole &= sizes * volume_mm3 <= step.max_volume_mm3 * (1 + 1e-9)
        if hole.any():
            part[hole[components[1:-1, 1:-1, 1:-1]] & (part == 0)] = value


def _open(array: NDArray[Any], values: Iterable[int], radius_mm: float, spacing: tuple[float, ...]) -> None:
    """Set voxels that no ball inside the label covers to background; the label continues beyond the image's faces."""
    boxes = bounding_boxes(array)
    for value in (v for v in values if v in boxes):
        # One voxel more on every side: a face of the box is no face of the image.
        part = array[tuple(slice(max(0, side.start - 1), side.stop + 1) for side in boxes[value])]
        mask = part == value
        core = deeper_than(mask, radius_mm, spacing)
        mask &= deeper_than(~core, radius_mm, spacing)
        part[mask] = 0


def _is_any(part: NDArray[Any], values: Sequence[int]) -> Mask:
    if len(values) == 1:
        single: Mask = part == values[0]
        return single
    table = np.zeros(max(int(part.max()), *values) + 1, dtype=np.bool_)
    table[list(values)] = True
    mask: Mask = table[part]
    return mask


def _sizes(components: NDArray[Any]) -> NDArray[np.int64]:
    """Count the voxels of each component by its number; number 0 counts those of no component."""
    # numpy.bincount would first make eight bytes of each voxel.
    return cc3d.statistics(components, no_slice_conversion=True)["voxel_counts"].astype(np.int64)


def _size(box: Box) -> int:
    return int(np.prod([side.stop - side.start for side in box]))
