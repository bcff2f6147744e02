"""The frames of a SEG and their pixels.

Empty frames of a BINARY object are left out: 118 labels of 3000 slices would be 11 GB of zeros. Viewers that failed on
such objects (FIELD-NOTES 1) counted frames instead of reading their positions; here every frame names its
position and its source image. A LABELMAP object has a frame for every slice, as one costs next to nothing there.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.label_map import LabelMap


@dataclass(frozen=True)
class FrameKey:
    """One frame: 0-based slice, and the segment's number (``None`` in a LABELMAP)."""

    slice_index: int
    segment: int | None


def slices_by_value(label_map: LabelMap) -> dict[int, list[int]]:
    """Find the slices in which each label has voxels, by the label's value; labels without voxels are not listed."""
    result: dict[int, list[int]] = {}
    known = {spec.value for spec in label_map.labels}
    for index, plane in enumerate(label_map.array):
        for value in np.flatnonzero(np.bincount(plane.ravel())):
            if value:
                result.setdefault(int(value), []).append(index)
    if not result.keys() <= known:
        raise ValueError(f"the mask has values without a label: {sorted(result.keys() - known)}")
    return result


def binary_frames(
    label_map: LabelMap, numbers: dict[int, int], slices: dict[int, list[int]]
) -> tuple[list[FrameKey], bytes]:
    """Return frames and packed pixels of a BINARY object, segment by segment.

    Parameters
    ----------
    label_map
        The mask.
    numbers
        Segment number of each label's value, ascending.
    slices
        For each value the slices that get a frame.
    """
    array = label_map.array
    keys = [FrameKey(index, number) for value, number in numbers.items() for index in slices[value]]
    masks = (array[index] == value for value in numbers for index in slices[value])
    return keys, pack_bits(masks)


def pack_bits(masks: Iterable[NDArray[np.bool_]]) -> bytes:
    """Pack boolean frames into 1-bit pixels, without padding between frames (PS3.5 section 8.1.1, D.1)."""
    parts: list[bytes] = []
    rest = np.zeros(0, dtype=np.bool_)
    for mask in masks:
        bits = np.concatenate([rest, mask.ravel()]) if rest.size else mask.ravel()
        whole = bits.size - bits.size % 8
        parts.append(np.packbits(bits[:whole], bitorder="little").tobytes())
        rest = bits[whole:]
    if rest.size:
        parts.append(np.packbits(rest, bitorder="little").tobytes())
    packed = b"".join(parts)
    return packed + b"\0" * (len(packed) % 2)


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
