"""Packed frames against one ``numpy.packbits`` over all of them, and their functional groups against pydicom's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from core.label_map import LabelMap
from core.model_config import LabelSpec
from core.volume import Geometry
from dicom_io.results.seg.frames import Extent, FrameKey, binary_frames, extents_by_value
from dicom_io.results.seg.functional_groups import SourceSlice, functional_groups
from dicom_io.results.source_attributes import decimal_strings

SIDE = st.integers(1, 11)
COLUMNS = st.integers(1, 11) | st.sampled_from([16, 24, 40])
"""Rows of whole octets and others."""
CLASS = "1.2.840.10008.5.1.4.1.1.2"


def label_map(array: np.ndarray) -> LabelMap:  # type: ignore[type-arg]  # of any unsigned type
    geometry = Geometry(array.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3))
    return LabelMap(array, geometry, tuple(LabelSpec(value=v, name=f"label {v}") for v in (1, 2, 7, 300)))


def extent(some: np.ndarray) -> slice:  # type: ignore[type-arg]  # of bool
    """Return the part of an axis from the first to the last that is true."""
    places = np.flatnonzero(some).tolist()
    return slice(places[0], places[-1] + 1)


@given(
    shape=st.tuples(SIDE, SIDE, COLUMNS),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    share=st.sampled_from([0.05, 0.5, 1.0]),
    seed=st.integers(0, 999),
)
@settings(max_examples=60, deadline=None)
def test_every_bit_is_where_packbits_puts_it(
    shape: tuple[int, int, int], dtype: type[np.unsignedinteger], share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = [1, 2, 7] if dtype is np.uint8 else [1, 7, 300]
    array = np.where(rng.random(shape) < share, rng.choice(values, shape), 0).astype(dtype)
    found = extents_by_value(label_map(array))
    for value in values:
        masks = {index: plane == value for index, plane in enumerate(array)}
        expected = {i: Extent(extent(m.any(axis=1)), extent(m.any(axis=0))) for i, m in masks.items() if m.any()}
        assert found.get(value, {}) == expected
        assert list(found.get(value, {})) == sorted(expected)
    numbers = {value: number for number, value in enumerate(sorted(found), start=1)}
    keys, packed = binary_frames(label_map(array), numbers, found)
    assert keys == [FrameKey(index, number) for value, number in numbers.items() for index in found[value]]
    frames = [array[index] == value for value in numbers for index in found[value]]
    bits = np.packbits(np.concatenate([mask.ravel() for mask in frames]), bitorder="little") if frames else np.zeros(0)
    assert packed == bits.astype(np.uint8).tobytes() + b"\0" * (bits.size % 2)


@pytest.mark.parametrize("columns", [4, 8])
def test_a_frame_without_rows_is_blank(columns: int) -> None:
    whole, nothing = Extent(slice(0, 4), slice(0, columns)), Extent(slice(0, 0), slice(0, 0))
    ones = label_map(np.ones((3, 4, columns), dtype=np.uint8))
    keys, packed = binary_frames(ones, {1: 1, 2: 2}, {1: {1: whole}, 2: {1: nothing}})
    assert keys == [FrameKey(1, 1), FrameKey(1, 2)]
    assert packed == b"\xff" * (columns // 2) + b"\0" * (columns // 2)


def test_a_value_without_a_label_is_refused() -> None:
    with pytest.raises(ValueError, match=r"values without a label: \[5\]"):
        extents_by_value(label_map(np.full((1, 2, 2), 5, dtype=np.uint8)))


@pytest.mark.parametrize("frame_number", [None, 3])
def test_groups_are_those_that_pydicom_encodes(frame_number: int | None) -> None:
    """UIDs of several lengths, one of which occurs in the object's other texts, and positions with many digits."""
    uids = ["1.2.3.4", "1.2.3.5", "1.2.33.44", CLASS, "1.2", "1.3"]
    positions = np.random.default_rng(0).normal(0, 300, (len(uids), 3))
    sources = [
        SourceSlice(CLASS, uid, frame_number, tuple(map(float, position)))
        for uid, position in zip(uids, positions, strict=True)
    ]
    keys = [FrameKey(index, segment) for segment in (1, 2) for index in range(len(uids))]
    encoded = functional_groups(keys, sources)
    whole = Dataset()
    whole[encoded.tag] = encoded
    for key, item in zip(keys, whole.PerFrameFunctionalGroupsSequence, strict=True):
        source = sources[key.slice_index]
        image = item.DerivationImageSequence[0].SourceImageSequence[0]
        assert image.ReferencedSOPInstanceUID == source.sop_instance_uid
        assert image.get("ReferencedFrameNumber") == frame_number
        found = item.PlanePositionSequence[0].ImagePositionPatient
        assert [str(value) for value in found] == [str(value) for value in decimal_strings(source.position)]
        assert item.FrameContentSequence[0].DimensionIndexValues == [key.segment, key.slice_index + 1]
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    again = Dataset()
    again.PerFrameFunctionalGroupsSequence = [_rebuilt(item) for item in whole.PerFrameFunctionalGroupsSequence]
    write_dataset(buffer, again)
    assert buffer.getvalue()[12:] == encoded.value


def _rebuilt(item: Dataset) -> Dataset:
    """Build the item from its values alone, so that pydicom has to encode it."""
    result = Dataset()
    for element in item:
        result.add_new(
            element.tag, element.VR, [_rebuilt(i) for i in element.value] if element.VR == "SQ" else element.value
        )
    return result
