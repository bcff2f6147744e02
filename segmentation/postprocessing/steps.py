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
from core.model_config import FillHoles, KeepLargest, Open, PostprocessingStep, RemoveSmall, Smooth
from segmentation.boxes import Box, bounding_boxes, union
from segmentation.postprocessing.distances import deeper_than
from segmentation.postprocessing.smoothing import smooth_labels
from segmentation.postprocessing.stack_lattice import StackLattice

FULL_CONNECTIVITY: Final = 26
"""Voxels that share a corner are one component, as in nnU-Net's post-processing."""
FACE_CONNECTIVITY: Final = 6
"""Holes are joined through faces only, since the label around them is joined through corners."""

Mask = NDArray[np.bool_]
Sizes = NDArray[np.int64] | NDArray[np.float64]
Shares = NDArray[np.float64] | None
"""Weight of a voxel in each slice, in median gaps; ``None`` on a regular grid, where each counts 1."""
Unwanted = Callable[[Sizes], Mask]


def postprocess(label_map: LabelMap, steps: Sequence[PostprocessingStep]) -> LabelMap:
    """Apply post-processing steps in their order; the input stays as it is.

    Parameters
    ----------
    label_map
        The mask; volumes in mm³ and lengths in mm follow from its geometry: of an irregular stack by its slices'
        shares, true heights, and offsets to the nearest pixel.
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
    lattice = StackLattice.of(label_map.geometry)
    for step in steps:
        values = step.labels or everything
        if isinstance(step, Open):
            _open(array, values, step.radius_mm, label_map.geometry.spacing, lattice)
        elif isinstance(step, Smooth):
            if lattice is not None:
                raise ValueError("the step smooth needs a regular grid; such a series is refused before")
            smooth_labels(array, values, step.sigma_mm, label_map.geometry.spacing)
        elif lattice is None:
            _by_components(array, values, step, label_map.geometry.voxel_volume_mm3, None)
        else:
            aligned = lattice.aligned(array)
            _by_components(aligned, values, step, lattice.voxel_mm3, lattice.shares)
            lattice.put_back(aligned, array)
    return replace(label_map, array=array)


def _by_components(
    array: NDArray[Any],
    values: Iterable[int],
    step: KeepLargest | RemoveSmall | FillHoles,
    volume_mm3: float,
    shares: Shares,
) -> None:
    if isinstance(step, KeepLargest):
        _keep_largest(array, values, step, shares)
    elif isinstance(step, RemoveSmall):
        _remove_small(array, values, step, volume_mm3, shares)
    else:
        _fill_holes(array, values, step, volume_mm3, shares)


def _keep_largest(array: NDArray[Any], values: Iterable[int], step: KeepLargest, shares: Shares) -> None:
    def unwanted(sizes: Sizes) -> Mask:
        wanted = np.sort(sizes)[::-1][: step.components]
        smaller: Mask = sizes < wanted[-1]
        return smaller

    if step.together:
        _clear_joint_components(array, tuple(values), unwanted, shares)
    else:
        _clear_components(array, values, unwanted, shares)


def _remove_small(
    array: NDArray[Any], values: Iterable[int], step: RemoveSmall, volume_mm3: float, shares: Shares
) -> None:
    least = step.min_volume_mm3 / volume_mm3 * (1 - 1e-9)  # a component of exactly the volume stays
    _clear_components(array, values, lambda sizes: sizes < least, shares)


def _clear_joint_components(array: NDArray[Any], values: tuple[int, ...], unwanted: Unwanted, shares: Shares) -> None:
    """Set the components of labels that count as one, as far as ``unwanted`` picks them by their sizes, to 0."""
    boxes = bounding_boxes(array)
    box = union(boxes[value] for value in values if value in boxes)
    if box is None:
        return
    part = array[box]
    components = cc3d.connected_components(_is_any(part, values), connectivity=FULL_CONNECTIVITY)
    _clear(part, components, np.concatenate([[False], unwanted(_sizes(components, _of(shares, box))[1:])]))


def _clear_components(array: NDArray[Any], values: Iterable[int], unwanted: Unwanted, shares: Shares) -> None:
    """Set the components of each label that ``unwanted`` picks by their sizes to background.

    Labels whose boxes overlap so much that one pass over all of them is shorter are taken in one.
    """
    boxes = bounding_boxes(array)
    found = {value: boxes[value] for value in values if value in boxes}
    whole = union(found.values())
    if whole is None:
        return
    if sum(map(_size, found.values())) <= _size(whole):
        for value, box in found.items():
            _clear_in_box(array[box], {value}, unwanted, _of(shares, box))
    else:
        _clear_in_box(array[whole], set(found), unwanted, _of(shares, whole))


def _clear_in_box(part: NDArray[Any], values: set[int], unwanted: Unwanted, shares: Shares) -> None:
    chosen = part == next(iter(values)) if len(values) == 1 else part * _is_any(part, tuple(values))
    components = cc3d.connected_components(chosen, connectivity=FULL_CONNECTIVITY)
    drop = np.zeros(int(components.max()) + 1, dtype=np.bool_)
    sizes, owners = _sizes_and_owners(components, chosen, shares)
    for owner in np.unique(owners[1:]):
        mine = np.flatnonzero(owners == owner)
        drop[mine] = unwanted(sizes[mine])
    _clear(part, components, drop)


def _clear(part: NDArray[Any], components: NDArray[Any], drop: Mask) -> None:
    """Set the components marked in ``drop`` to background, plane by plane, since a mask of all would be one more."""
    if drop.any():
        for plane, numbers in zip(part, components, strict=True):
            plane[drop[numbers]] = 0


def _fill_holes(array: NDArray[Any], values: Iterable[int], step: FillHoles, volume_mm3: float, shares: Shares) -> None:
    """Give the background inside a label to it; nested labels go from the inside out, so that each fills its own."""
    boxes = bounding_boxes(array)
    for value in sorted((v for v in values if v in boxes), key=lambda v: (_size(boxes[v]), v)):
        part = array[boxes[value]]
        outside = np.pad(part != value, 1, constant_values=True)
        components = cc3d.connected_components(outside, connectivity=FACE_CONNECTIVITY)
        around = None if shares is None else np.pad(shares[boxes[value][0]], 1, mode="edge")
        sizes = _sizes(components, around)
        hole = np.ones(sizes.size, dtype=np.bool_)
        hole[[0, components[0, 0, 0]]] = False
        if step.max_volume_mm3 is not None:
            hole &= sizes * volume_mm3 <= step.max_volume_mm3 * (1 + 1e-9)
        if hole.any():
            part[hole[components[1:-1, 1:-1, 1:-1]] & (part == 0)] = value


def _open(
    array: NDArray[Any],
    values: Iterable[int],
    radius_mm: float,
    spacing: tuple[float, ...],
    lattice: StackLattice | None,
) -> None:
    """Set voxels that no ball inside the label covers to background; the label continues beyond the image's faces."""
    boxes = bounding_boxes(array)
    for value in (v for v in values if v in boxes):
        # One voxel more on every side: a face of the box is no face of the image.
        sides = boxes[value]
        if lattice is not None:  # a box of shifted slices has no fixed rows and columns
            sides = (sides[0], slice(0, array.shape[1]), slice(0, array.shape[2]))
        part = array[tuple(slice(max(0, side.start - 1), side.stop + 1) for side in sides)]
        mask = part == value
        if lattice is None:
            core = deeper_than(mask, radius_mm, spacing)
            mask &= deeper_than(~core, radius_mm, spacing)
        else:
            first = max(0, sides[0].start - 1)
            core = lattice.deeper_than(mask, radius_mm, first)
            mask &= lattice.deeper_than(~core, radius_mm, first)
        part[mask] = 0


def _is_any(part: NDArray[Any], values: Sequence[int]) -> Mask:
    if len(values) == 1:
        single: Mask = part == values[0]
        return single
    table = np.zeros(max(int(part.max()), *values) + 1, dtype=np.bool_)
    table[list(values)] = True
    mask: Mask = table[part]
    return mask


def _sizes(components: NDArray[Any], shares: Shares) -> Sizes:
    """Count the voxels of each component by its number, each by its slice's share; number 0 are those of none."""
    return _sizes_and_owners(components, components, shares)[0]


def _of(shares: Shares, box: Box) -> Shares:
    return None if shares is None else shares[box[0]]


def _sizes_and_owners(components: NDArray[Any], array: NDArray[Any], shares: Shares) -> tuple[Sizes, NDArray[Any]]:
    """Count the voxels of each component, and find the value that an array has in it; number 0 is no component.

    Runs of equal numbers are counted, plane by plane: they are few, and numpy.bincount would first make eight bytes of
    each voxel.
    """
    count = int(components.max()) + 1
    sizes: Sizes = np.zeros(count, np.int64) if shares is None else np.zeros(count, np.float64)
    owners = np.zeros(count, dtype=array.dtype)
    for number, (plane, values) in enumerate(zip(components, array, strict=True)):
        numbers = plane.ravel()
        starts = np.concatenate([[0], np.flatnonzero(numbers[1:] != numbers[:-1]) + 1])
        runs = numbers[starts]
        lengths = np.diff(starts, append=numbers.size)
        np.add.at(sizes, runs, lengths if shares is None else lengths * shares[number])
        owners[runs] = values.ravel()[starts]
    return sizes, owners


def _size(box: Box) -> int:
    return int(np.prod([side.stop - side.start for side in box]))
