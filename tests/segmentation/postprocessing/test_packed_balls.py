"""Erosion by balls on packed masks, against scipy's distances to every voxel."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from segmentation.postprocessing.packed_balls import ball_columns, eroded

MILLIMETRES = st.floats(0.4, 5.0)


@given(
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 200)),
    spacing=st.tuples(MILLIMETRES, MILLIMETRES, MILLIMETRES),
    radius=st.floats(0.1, 60.0),
    width=st.floats(0.0, 3.0),
    seed=st.integers(0, 999),
)
@settings(max_examples=100, deadline=None)
def test_a_voxel_stays_if_every_voxel_outside_is_farther_than_the_radius(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], radius: float, width: float, seed: int
) -> None:
    mask = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), width) > -0.1
    expected = mask
    if not mask.all():
        expected = ndimage.distance_transform_edt(mask, sampling=spacing) > radius
    assert np.array_equal(eroded(mask, ball_columns(radius, spacing, shape)), expected)


def test_a_ball_is_cut_to_the_array() -> None:
    columns = ball_columns(1000.0, (1.0, 1.0, 1.0), (3, 4, 5))
    assert max(columns.values()) == 5
    assert len(columns) == 7 * 9


def test_no_mask_is_changed() -> None:
    mask = np.random.default_rng(0).random((4, 5, 130)) > 0.1
    before = mask.copy()
    eroded(mask, ball_columns(1.0, (1.0, 1.0, 1.0), mask.shape))
    assert np.array_equal(mask, before)
