"""Resampling of labels against nnU-Net's own, on every voxel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from segmentation.preprocessing.label_resampling import resample_labels
from segmentation.preprocessing.target_grid import Shape3, separate_axis

Spacing = tuple[float, float, float]
ISOTROPIC: Spacing = (1.0, 1.0, 1.0)
SPACINGS: list[Spacing] = [ISOTROPIC, (5.0, 1.0, 1.0), (1.0, 5.0, 1.1), (1.0, 1.2, 7.0)]


def blobs(shape: Shape3, seed: int, smooth: float) -> NDArray[np.int16]:
    """Make labels -1 (outside of the nonzero mask) to 3."""
    fields = np.random.default_rng(seed).normal(size=(5, *shape))
    fields = np.stack([gaussian_filter(field, smooth) for field in fields])
    labels: NDArray[np.int16] = (fields.argmax(0) - 1).astype(np.int16)
    return labels


def compare(labels: NDArray[np.int16], shape: Shape3, spacing: Spacing = ISOTROPIC, order: int = 1) -> None:
    before = labels.copy()
    theirs = resample_data_or_seg_to_shape(
        labels[None].astype(np.float32), shape, spacing, spacing, is_seg=True, order=order, order_z=0,
        force_separate_z=None,
    )[0]  # fmt: skip
    ours = resample_labels(labels, shape, separate_axis(spacing, spacing), order)
    assert ours.dtype == np.int16
    assert np.array_equal(labels, before)
    assert np.array_equal(ours, theirs), f"{int((ours != theirs).sum())} of {theirs.size} differ"


@given(
    old=st.tuples(*[st.integers(1, 14)] * 3),
    new=st.tuples(*[st.integers(1, 20)] * 3),
    seed=st.integers(0, 99),
    smooth=st.sampled_from([0.0, 1.0]),
    spacing=st.sampled_from(SPACINGS),
    order=st.sampled_from([1, 1, 1, 0]),
)
@settings(max_examples=80, deadline=None)
def test_any_grid(old: Shape3, new: Shape3, seed: int, smooth: float, spacing: Spacing, order: int) -> None:
    compare(blobs(old, seed, smooth), new, spacing, order)


@pytest.mark.parametrize("new", [(80, 40, 36), (20, 20, 18), (40, 80, 72), (27, 33, 21)])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_ties_of_even_factors_and_larger_images(new: Shape3, spacing: Spacing) -> None:
    compare(blobs((40, 40, 36), 0, 1.5), new, spacing)


def test_an_order_that_needs_splines_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="with order 3"):
        resample_labels(blobs((4, 4, 4), 0, 1.0), (5, 5, 5), None, 3)
