"""Image resampling against nnU-Net's own function and skimage."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.preprocessing.resampling import default_resampling as stock
from numpy.typing import NDArray
from skimage.transform import resize

from core.errors import ReasonCode, StudyRejected
from segmentation.preprocessing import resampling
from segmentation.preprocessing.interpolation import axis_matrix, linear_cells, nearest_index
from segmentation.preprocessing.resampling import resample_planes
from segmentation.preprocessing.target_grid import resampled_shape, separate_axis
from tests.support.same_values import assert_same_values

Spacing = tuple[float, float, float]
ISOTROPIC: Spacing = (1.0, 1.0, 1.0)
SIZES = st.integers(1, 24)
SPACINGS = st.tuples(*[st.sampled_from([0.24, 0.5, 0.78, 1.0, 1.25, 1.5, 3.0, 3.1, 5.0, 10.0])] * 3)


def made(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    """Make noise with a step in it, so that a cubic spline overshoots and clipping counts."""
    image = np.random.default_rng(seed).normal(size=shape)
    image[..., shape[-1] // 2 :] += 8
    return image.astype(np.float32)


def resample_image(
    image: NDArray[np.float32] | torch.Tensor,
    shape: tuple[int, int, int],
    spacing: Spacing,
    new_spacing: Spacing,
    *,
    order: int = 3,
    force_separate_z: bool | None = None,
) -> torch.Tensor:
    """Resample every channel of an image as preprocessing does."""
    source = torch.as_tensor(image)
    axis = separate_axis(spacing, new_spacing, force_separate_z)
    result = torch.empty((len(source), *shape))
    for channel, out in zip(source, result, strict=True):
        planes = channel.movedim(axis or 0, 0)
        bounds = float(channel.min()), float(channel.max())
        resample_planes(lambda box, planes=planes: planes[box], channel.shape, out, axis, order, bounds)
    return result


def agreement(ours: torch.Tensor, theirs: NDArray[np.float32]) -> float:
    """Compute the largest difference as a fraction of the standard deviation."""
    assert ours.shape == theirs.shape
    return float(np.abs(ours.numpy() - theirs).max() / max(float(theirs.std()), 1e-6))


@pytest.mark.parametrize(
    ("size_in", "size_out"), [(1, 1), (1, 5), (5, 1), (2, 3), (40, 31), (31, 44), (90, 200), (7, 7)]
)
@pytest.mark.parametrize("order", [0, 1, 3])
def test_matrix_is_the_one_of_skimage(size_in: int, size_out: int, order: int) -> None:
    expected = np.stack(
        [resize(row, (size_out,), order, mode="edge", anti_aliasing=False, clip=False) for row in np.eye(size_in)],
        axis=1,
    )
    np.testing.assert_allclose(axis_matrix(size_in, size_out, order), expected, atol=1e-12, rtol=0)


@given(size_in=st.integers(1, 70), size_out=st.integers(1, 70))
@settings(max_examples=60, deadline=None)
def test_cells_hold_the_weights_of_scipy_to_the_last_bit(size_in: int, size_out: int) -> None:
    cells = linear_cells(size_in, size_out)
    rebuilt = np.zeros((size_out, size_in))
    rows = np.arange(size_out)
    np.add.at(rebuilt, (rows, cells.upper[cells.cell_of]), cells.weights[1])
    np.add.at(rebuilt, (rows, cells.lower[cells.cell_of]), cells.weights[0])
    assert np.array_equal(rebuilt, axis_matrix(size_in, size_out, 1))
    nearest = np.zeros((size_out, size_in))
    nearest[rows, nearest_index(size_in, size_out)] = 1
    assert np.array_equal(nearest, axis_matrix(size_in, size_out, 0))


def test_an_image_smaller_than_half_a_voxel_is_refused() -> None:
    assert resampled_shape((1, 20, 20), (0.8, 1.0, 1.0), (1.5, 1.0, 1.0)) == (1, 20, 20)
    with pytest.raises(StudyRejected) as caught:
        resampled_shape((1, 20, 20), (0.7, 1.0, 1.0), (1.5, 1.0, 1.0))
    assert caught.value.code is ReasonCode.TOO_SMALL


@given(shape=st.tuples(SIZES, SIZES, SIZES), spacing=SPACINGS, new_spacing=SPACINGS)
@settings(max_examples=200, deadline=None)
def test_shape_and_axis_are_those_of_nnunet(
    shape: tuple[int, int, int], spacing: Spacing, new_spacing: Spacing
) -> None:
    expected = stock.compute_new_shape(shape, spacing, new_spacing)
    if min(expected) < 1:
        with pytest.raises(StudyRejected, match="too_small: The image is smaller than half a voxel"):
            resampled_shape(shape, spacing, new_spacing)
    else:
        assert resampled_shape(shape, spacing, new_spacing) == tuple(expected)
    for force in (None, True, False):
        _, axis = stock.determine_do_sep_z_and_axis(force, spacing, new_spacing, 3)
        assert separate_axis(spacing, new_spacing, force) == axis


@given(
    old=st.tuples(SIZES, SIZES, SIZES),
    new=st.tuples(SIZES, SIZES, SIZES),
    spacing=SPACINGS,
    new_spacing=SPACINGS,
    order=st.sampled_from([0, 1, 3]),
    force=st.sampled_from([None, True, False]),
)
@settings(max_examples=60, deadline=None)
def test_any_grid_equals_nnunet(
    old: tuple[int, int, int],
    new: tuple[int, int, int],
    spacing: Spacing,
    new_spacing: Spacing,
    order: int,
    force: bool | None,
) -> None:
    image = made((2, *old))
    theirs = stock.resample_data_or_seg_to_shape(
        image, new, spacing, new_spacing, is_seg=False, order=order, order_z=0, force_separate_z=force
    )
    ours = resample_image(image, new, spacing, new_spacing, order=order, force_separate_z=force)
    assert_same_values(ours.numpy(), theirs)


@pytest.mark.parametrize(
    ("old", "new", "spacing", "new_spacing"),
    [
        ((70, 150, 140), (70, 77, 74), (1.5, 0.78, 0.78), (1.5, 1.5, 1.5)),
        ((90, 80, 75), (50, 130, 141), (1.5, 2.0, 2.0), (2.7, 1.2, 1.0)),
        ((9, 140, 150), (15, 70, 73), (5.0, 0.8, 0.8), (3.0, 1.6, 1.6)),
        ((140, 9, 150), (70, 5, 73), (0.8, 5.0, 0.8), (1.6, 9.0, 1.6)),
        ((100, 90, 8), (60, 131, 8), (0.8, 0.8, 5.0), (1.3, 0.5, 5.0)),
    ],
    ids=["in plane", "every axis", "separate axis 0", "separate axis 1", "separate axis 2"],
)
def test_images_larger_than_a_block(
    old: tuple[int, int, int],
    new: tuple[int, int, int],
    spacing: Spacing,
    new_spacing: Spacing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resampling, "VOXELS_AT_ONCE", 50_000)
    image = made((1, *old))
    theirs = stock.resample_data_or_seg_to_shape(image, new, spacing, new_spacing, is_seg=False, order=3, order_z=0,
                                                 force_separate_z=None)  # fmt: skip
    before = image.copy()
    assert_same_values(resample_image(image, new, spacing, new_spacing).numpy(), theirs)
    assert np.array_equal(image, before)


def test_result_is_clipped_to_the_range_of_the_image() -> None:
    image = np.zeros((1, 6, 40, 41), np.float32)
    image[..., 20:] = 1.0
    assert np.abs(axis_matrix(41, 60, 3) @ image[0, 0, 0]).max() > 1.05
    ours = resample_image(image, (6, 63, 60), ISOTROPIC, ISOTROPIC)
    assert float(ours.max()) == 1.0
    assert float(ours.min()) == 0.0


def test_a_view_is_resampled_like_a_copy() -> None:
    image = made((1, 20, 22, 24))[:, ::-1, 3:20].transpose(0, 3, 1, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copy = resample_image(np.ascontiguousarray(image), (11, 30, 20), ISOTROPIC, ISOTROPIC)
    view = resample_image(torch.from_numpy(image[:, :, ::-1].copy()).flip(2), (11, 30, 20), ISOTROPIC, ISOTROPIC)
    assert torch.equal(copy, view)


def test_an_empty_axis_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="cannot resample"):
        resample_image(made((1, 4, 4, 4)), (4, 0, 4), ISOTROPIC, ISOTROPIC)


def test_single_precision_stays_within_a_thousandth(monkeypatch: pytest.MonkeyPatch) -> None:
    """The single precision of a GPU is tried on the CPU."""
    monkeypatch.setattr(resampling, "working_precision", lambda _: torch.float32)
    image = made((1, 30, 90, 80)) * 300
    old, new = (1.5, 0.8, 0.8), (2.0, 1.5, 1.5)
    shape = resampled_shape(image.shape[1:], old, new)
    theirs = stock.resample_data_or_seg_to_shape(image, shape, old, new, is_seg=False, order=3, force_separate_z=None)
    difference = agreement(resample_image(image, shape, old, new), theirs)
    assert 1e-7 < difference < 1e-4
