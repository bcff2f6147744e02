"""The frames of a SEG and their pixels.

Empty frames of a BINARY object are left out: 118 labels of 3000 slices would be 11 GB of zeros. Viewers that failed on
such objects (FIELD-NOTES 1) counted frames instead of reading their positions; here every frame names its
position and its source image. A LABELMAP object has a frame for every slice, as one costs next to nothing there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.label_map import LabelMap

Rows = tuple[int, int]
"""A range of rows: the first one, and the one after the last."""


@dataclass(frozen=True)
class FrameKey:
    """One frame: 0-based slice, and the segment's number (``None`` in a LABELMAP)."""

    slice_index: int
    segment: int | None


def rows_by_value(label_map: LabelMap) -> dict[int, dict[int, Rows]]:
    """Find the slices in which each label has voxels, and there its rows; labels without voxels are not listed.

    Runs of equal voxels are looked at, which are few beside the voxels.

    Returns
    -------
    dict
        By the label's value the slices, ascending, with the first row of the label and the one after its last.

    Raises
    ------
    ValueError
        If the mask has a value that no label has.
    """
    result: dict[int, dict[int, Rows]] = {}
    known = {spec.value for spec in label_map.labels}
    columns = label_map.geometry.shape[2]
    for index, plane in enumerate(label_map.array):
        flat = plane.ravel()
        ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]), flat.size - 1)
        starts = np.concatenate([[0], ends[:-1] + 1])
        values, first = np.unique(flat[ends], return_index=True)
        _, last = np.unique(flat[ends][::-1], return_index=True)
        for value, start, end in zip(values.tolist(), starts[first], ends[::-1][last], strict=True):
            if value:
                result.setdefault(value, {})[index] = (int(start) // columns, int(end) // columns + 1)
    if not result.keys() <= known:
        raise ValueError(f"the mask has values without a label: {sorted(result.keys() - known)}")
    return result


def binary_frames(
    label_map: LabelMap, numbers: dict[int, int], slices: Mapping[int, Mapping[int, Rows]]
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
        For each value the slices that get a frame, with the rows outside of which the frame is empty.
    """
    frames = [(value, index, rows) for value in numbers for index, rows in slices[value].items()]
    keys = [FrameKey(index, numbers[value]) for value, index, _ in frames]
    columns = label_map.geometry.shape[2]
    size = label_map.geometry.shape[1] * columns
    whole = -(-len(frames) * size // 8)
    packed = np.zeros(whole + whole % 2, dtype=np.uint8)
    for number, (value, index, (first, stop)) in enumerate(frames):
        start = number * size + first * columns
        bits = label_map.array[index, first:stop].ravel() == value
        if start % 8:
            bits = np.concatenate([np.zeros(start % 8, dtype=np.bool_), bits])
        part = np.packbits(bits, bitorder="little")
        packed[start // 8 : start // 8 + part.size] |= part  # its first and last byte may hold other rows' bits too
    return keys, packed.tobytes()


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
