"""Values that only scipy's own order of operations decides, against skimage's ``resize``."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg
from numpy.typing import NDArray
from skimage.transform import resize

from segmentation.preprocessing import near_borders
from segmentation.preprocessing.interpolation import axis_matrix
from segmentation.preprocessing.near_borders import NearBorders, scipy_values
from segmentation.preprocessing.resampling import resample_planes

SIZE = st.integers(1, 30)
LONG = st.integers(1, 200)


def resized(image: NDArray[np.float32], shape: tuple[int, ...], order: int) -> NDArray[np.float64]:
    result: NDArray[np.float64] = resize(
        image.astype(np.float64), shape, order, mode="edge", anti_aliasing=False, clip=False
    )
    return result


@given(
    sizes=st.one_of(st.tuples(*[st.tuples(SIZE, SIZE)] * 3), st.tuples(*[st.tuples(LONG, LONG)] * 2)),
    order=st.sampled_from([0, 1, 3]),
    seed=st.integers(0, 999),
)
@settings(max_examples=40, deadline=None)
def test_every_value_is_scipys_to_the_last_bit(sizes: tuple[tuple[int, int], ...], order: int, seed: int) -> None:
    old, new = zip(*sizes, strict=True)
    image = np.random.default_rng(seed).normal(size=old).astype(np.float32)
    if old == new:
        return
    voxels = np.argwhere(np.ones(new, dtype=np.bool_))
    ours = scipy_values(lambda box: torch.from_numpy(image[box]), old, new, order, voxels)
    assert np.array_equal(ours.reshape(new), resized(image, new, order))


def test_a_window_gives_the_bits_of_the_whole_image() -> None:
    image = np.random.default_rng(0).normal(size=(150, 140, 160)).astype(np.float32)
    new = (101, 190, 77)
    voxels = np.random.default_rng(1).integers(0, new, (30, 3))
    expected = resized(image, new, 3)[tuple(voxels.T)]
    assert np.array_equal(scipy_values(lambda box: torch.from_numpy(image[box]), image.shape, new, 3, voxels), expected)


def lines_at_borders(lines: int, size_in: int, size_out: int) -> NDArray[np.float32]:
    """Make lines ``(size_in, lines)`` whose middle value, resampled, lies between two numbers of single precision.

    Voxel after voxel, from the largest weight to the smallest, takes what is missing to the border.
    """
    rng = np.random.default_rng(0)
    result = rng.normal(size=(size_in, lines)).astype(np.float32)
    weights = axis_matrix(size_in, size_out, 3)[size_out // 2]
    middle = (weights @ result).astype(np.float32)
    border = (middle.astype(np.float64) + np.nextafter(middle, np.float32(9))) / 2
    for voxel in np.argsort(-np.abs(weights)):
        if abs(weights[voxel]) > 1e-13:
            result[voxel] += ((border - weights @ result) / weights[voxel]).astype(np.float32)
    assert np.abs(weights @ result - border).max() < 1e-15
    return result


@pytest.mark.parametrize("axis", [None, 0, 1, 2], ids=["together", "axis 0 apart", "axis 1 apart", "axis 2 apart"])
def test_values_made_to_lie_at_borders(axis: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = 50, 37
    lines = lines_at_borders(20 * 24, old, new).reshape(old, 20, 24)
    along = 1 if axis == 0 else 0
    image = np.ascontiguousarray(np.moveaxis(lines, 0, along))
    shape = tuple(new if index == along else size for index, size in enumerate(image.shape))
    theirs = resample_data_or_seg(image[None], shape, axis=axis, do_separate_z=axis is not None, order=3)[0]

    def ours() -> NDArray[np.float32]:
        result, planes = torch.empty(shape), torch.from_numpy(np.moveaxis(image, axis or 0, 0))
        bounds = float(image.min()), float(image.max())
        resample_planes(lambda box: planes[box], image.shape, result, axis, 3, bounds)
        return result.numpy()

    assert np.array_equal(ours(), theirs)
    monkeypatch.setattr(NearBorders, "add", lambda *_: None)
    assert np.count_nonzero(ours() != theirs) > 50


def test_collected_voxels_are_settled_when_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_borders, "VOXELS_AT_ONCE", 7)
    image = np.random.default_rng(0).normal(size=(9, 10, 11)).astype(np.float32)
    result = torch.zeros((6, 12, 9))
    bounds = float(image.min()), float(image.max())
    again = NearBorders(lambda box: torch.from_numpy(image[box]), image.shape, result, 3, bounds)
    for plane in range(6):
        voxels = np.argwhere(np.ones((1, 12, 9), dtype=np.bool_))
        again.add(voxels + np.array([plane, 0, 0]), np.ones(len(voxels)))
        assert result[plane].any()
    again.settle()
    assert np.array_equal(result.numpy(), np.clip(resized(image, (6, 12, 9), 3), *bounds).astype(np.float32))


def test_a_background_of_zero_stays() -> None:
    """Only values that a spline leaves at voxels of exactly 0 are not computed again, however near to 0 they are."""
    image = np.zeros((12, 12, 40), dtype=np.float32)
    image[..., :8] = 1
    image[5, 5, 30] = 1e-9
    result = torch.full((12, 12, 31), 1e-9)
    again = NearBorders(lambda box: torch.from_numpy(image[box]), image.shape, result, 3, (0.0, 1.0))
    numbers = np.array([1e-9, 1e-9, 0.5], dtype=np.float32)
    borders = (numbers.astype(np.float64) + np.nextafter(numbers, np.float32(1))) / 2
    again.add(np.array([[5, 5, 23], [5, 5, 20], [5, 5, 4]]), borders)
    again.settle()
    expected = np.clip(resized(image, (12, 12, 31), 3), 0, 1).astype(np.float32)
    changed = np.argwhere(result.numpy() != np.float32(1e-9))
    assert changed.tolist() == [[5, 5, 4], [5, 5, 23]]
    assert result[5, 5, 23] == expected[5, 5, 23]


def test_larger_values_far_away_cast_no_doubt() -> None:
    """A value that only sums of the far larger ones at the image's other end could change is left as it is."""
    image = np.full((6, 6, 90), 1e-3, dtype=np.float32)
    image[..., :8] = 1000
    reads: list[int] = []

    def read(box: tuple[slice, ...]) -> torch.Tensor:
        part = torch.from_numpy(image[box])
        reads.append(part.numel())
        return part

    again = NearBorders(read, image.shape, torch.zeros((6, 6, 61)), 3, (0.0, 1000.0))
    number = np.float32(1e-3)
    border = (float(number) + float(np.nextafter(number, np.float32(1)))) / 2
    again.add(np.array([[3, 3, 50], [3, 3, 55]]), np.array([border, border + 1e-13]))
    again.settle()
    assert len(reads) == 3  # both are looked at, and a window is read for the first alone
    assert again._result[3, 3, 50] != 0
    assert again._result[3, 3, 55] == 0
