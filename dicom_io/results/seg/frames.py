"""The frames of a SEG and their pixels.

Empty frames of a BINARY object are left out: 118 labels of 3000 slices would be 11 GB of zeros. Viewers that failed on
such objects (FIELD-NOTES 1) counted frames instead of reading their positions; here every frame names its
position and its source image. A LABELMAP object has a frame for every slice, as one costs next to nothing there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.label_map import LabelMap


@dataclass(frozen=True)
class Extent:
    """The part of a slice outside of which a label has no voxel, in voxels."""

    rows: slice
    columns: slice


@dataclass(frozen=True)
class FrameKey:
    """One frame: 0-based slice, and the segment's number (``None`` in a LABELMAP)."""

    slice_index: int
    segment: int | None


def extents_by_value(label_map: LabelMap) -> dict[int, dict[int, Extent]]:
    """Find the slices in which each label has voxels, and where; labels without voxels are not listed.

    Runs of equal voxels are looked at, which are few beside the voxels.

    Returns
    -------
    dict
        By the label's value the slices, ascending, with the label's extent.

    Raises
    ------
    ValueError
        If the mask has a value that no label has.
    """
    result: dict[int, dict[int, Extent]] = {}
    known = {spec.value for spec in label_map.labels}
    for index, plane in enumerate(label_map.array):
        for value, extent in _extents(plane):
            result.setdefault(value, {})[index] = extent
    if not result.keys() <= known:
        raise ValueError(f"the mask has values without a label: {sorted(result.keys() - known)}")
    return result


def _extents(plane: NDArray[np.integer[Any]]) -> Iterator[tuple[int, Extent]]:
    """Yield each label of a slice with its extent, by the runs of equal voxels that follow each other in memory."""
    flat, columns = plane.ravel(), plane.shape[1]
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]), flat.size - 1)
    starts = np.concatenate([[0], ends[:-1] + 1])
    of_labels = flat[ends] != 0
    starts, ends = starts[of_labels], ends[of_labels]
    if not ends.size:
        return
    order = np.argsort(flat[ends], kind="stable")
    starts, ends = starts[order], ends[order]
    values = flat[ends]
    group = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    (top, left), (bottom, right) = np.divmod(starts, columns), np.divmod(ends, columns)
    goes_on = top != bottom  # past the end of its row
    tops, bottoms = np.minimum.reduceat(top, group), np.maximum.reduceat(bottom, group)
    lefts = np.minimum.reduceat(np.where(goes_on, 0, left), group)
    rights = np.maximum.reduceat(np.where(goes_on, columns - 1, right), group)
    sides = zip(*(side.tolist() for side in (values[group], tops, bottoms, lefts, rights)), strict=True)
    for value, first, last, start, end in sides:
        yield value, Extent(slice(first, last + 1), slice(start, end + 1))


def binary_frames(
    label_map: LabelMap, numbers: dict[int, int], slices: Mapping[int, Mapping[int, Extent]]
) -> tuple[list[FrameKey], bytes]:
    """Return frames and packed pixels of a BINARY object, segment by segment.

    Frames follow each other without padding (PS3.5 section 8.1.1, D.1); the whole is padded to an even length.

    Parameters
    ----------
    label_map
        The mask.
    numbers
        Segment number of each label's value, ascending.
    slices
        For each value the slices that get a frame, with the extent outside of which the frame is empty.
    """
    frames = [(value, index, extent) for value in numbers for index, extent in slices[value].items()]
    keys = [FrameKey(index, numbers[value]) for value, index, _ in frames]
    rows, columns = label_map.geometry.shape[1:]
    whole = -(-len(frames) * rows * columns // 8)
    packed = np.zeros(whole + whole % 2, dtype=np.uint8)
    if columns % 8:
        for number, (value, index, extent) in enumerate(frames):
            _pack_rows(label_map.array[index, extent.rows] == value, packed, number * rows + extent.rows.start)
    else:
        by_row = packed[:whole].reshape(len(frames), rows, columns // 8)
        for (value, index, extent), frame in zip(frames, by_row, strict=True):
            octets = slice(extent.columns.start // 8, -(-extent.columns.stop // 8))
            part = label_map.array[index, extent.rows, 8 * octets.start : 8 * octets.stop]
            frame[extent.rows, octets] = np.packbits(part == value, axis=1, bitorder="little")
    return keys, packed.tobytes()


def _pack_rows(mask: NDArray[np.bool_], packed: NDArray[np.uint8], row: int) -> None:
    """Add whole rows of a frame, from one of all frames' rows on, where a row is no whole number of octets."""
    start = row * mask.shape[1]
    bits = mask.ravel()
    if start % 8:
        bits = np.concatenate([np.zeros(start % 8, dtype=np.bool_), bits])
    part = np.packbits(bits, bitorder="little")
    packed[start // 8 : start // 8 + part.size] |= part  # its first and last byte may hold other rows' bits too


def labelmap_planes(
    label_map: LabelMap, numbers: dict[int, int], dtype: type[np.uint8] | type[np.uint16]
) -> Iterator[NDArray[np.uint8] | NDArray[np.uint16]]:
    """Yield every slice of the mask with segment numbers in place of label values."""
    table = np.zeros(int(label_map.array.max()) + 1, dtype=dtype)
    for value, number in numbers.items():
        if value < table.size:
            table[value] = number
    for plane in label_map.array:
        yield table[plane]
