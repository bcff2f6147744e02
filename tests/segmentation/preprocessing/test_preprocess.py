"""Preprocessing against nnU-Net's own ``run_case_npy``."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, gaussian_filter

from core.errors import ReasonCode, StudyRejected
from segmentation.package.network_spec import Configuration
from segmentation.preprocessing import resampling
from segmentation.preprocessing.cropping import nonzero_box, nonzero_mask
from segmentation.preprocessing.preprocess import preprocess
from tests.support.plans_of import PLAIN, REGIONS, make_configuration, stock_of
from tests.support.same_values import assert_same_values

SCHEMES = ("CTNormalization", "ZScoreNormalization", "NoNormalization", "RescaleTo01Normalization")
SPACING = (2.5, 1.1, 0.9)


def made(
    channels: int = 1, shape: tuple[int, ...] = (20, 31, 28), margin: int = 0, seed: int = 0
) -> NDArray[np.float32]:
    """Make smooth noise around a high mean; ``margin`` voxels of zeros around, a hole and a bay inside."""
    rng = np.random.default_rng(seed)
    image = np.stack([gaussian_filter(rng.normal(size=shape), 1.0) * 900 + 400 for _ in range(channels)])
    if margin:
        inner = np.zeros(shape, dtype=bool)
        inner[2:-1, margin : -2 * margin, margin:-margin] = True
        inner[6:9, 12:15, 12:15] = False
        inner[2:5, margin : margin + 4, 14] = False
        image[:, ~inner] = 0
    return image.astype(np.float32)


def compare(
    configuration: Configuration,
    image: NDArray[np.float32],
    spacing: tuple[float, ...] = SPACING,
    previous: NDArray[Any] | None = None,
    labels: Any = PLAIN,
) -> None:
    before = image.copy()
    theirs, properties = stock_of(configuration, labels).preprocess(np.ascontiguousarray(image), spacing, previous)
    ours, grids = preprocess(image, spacing, configuration, labels, previous)
    assert np.array_equal(image, before)
    assert ours.dtype == torch.float32
    assert ours.shape == theirs.shape
    for mine, stocks in zip(ours.numpy(), theirs, strict=True):
        if configuration.resampling_data.function == "resample_torch_fornnunet":
            np.testing.assert_allclose(mine, stocks, rtol=0, atol=1e-6 * float(stocks.std()))
        else:
            assert_same_values(mine, stocks)
    box = [[part.start, part.stop] for part in grids.box]
    assert box == [list(map(int, ends)) for ends in properties["bbox_used_for_cropping"]]
    assert grids.shape == tuple(properties["shape_before_cropping"])
    assert grids.cropped_shape == tuple(properties["shape_after_cropping_and_before_resampling"])
    assert grids.new_shape == theirs.shape[1:]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("margin", [0, 3])
@pytest.mark.parametrize("use_mask", [False, True])
def test_every_scheme(scheme: str, margin: int, use_mask: bool) -> None:
    compare(make_configuration(schemes=(scheme,), use_mask=use_mask), made(margin=margin))


def test_rgb_and_its_range() -> None:
    configuration = make_configuration(schemes=("RGBTo01Normalization",) * 3)
    image = np.random.default_rng(0).integers(0, 256, (3, 9, 20, 18)).astype(np.float32)
    compare(configuration, image)
    image[1, 2, 3, 4] = 256
    with pytest.raises(StudyRejected, match=r" to 256") as caught:
        preprocess(image, SPACING, configuration, PLAIN)
    assert caught.value.code is ReasonCode.COLOUR_RANGE


@pytest.mark.parametrize(
    ("target", "spacing"),
    [
        ((1.5, 1.5, 1.5), (1.5, 0.78, 0.78)),
        ((3.0, 2.8, 2.8), (1.5, 0.8, 0.8)),
        ((6.0, 0.7, 0.7), (5.0, 1.0, 1.0)),
        ((2.0, 0.9, 0.9), (8.0, 1.0, 1.0)),
        ((0.9, 0.9), (5.0, 0.7, 0.7)),
        ((1.5, 0.78, 0.78), (1.5, 0.78, 0.78)),
    ],
    ids=["one axis kept", "coarser", "anisotropic", "image anisotropic", "2d", "no resampling"],
)
@pytest.mark.parametrize("transpose", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
def test_every_kind_of_grid(
    target: tuple[float, ...], spacing: tuple[float, ...], transpose: tuple[int, int, int]
) -> None:
    configuration = make_configuration(
        spacing=target, schemes=("CTNormalization", "ZScoreNormalization"), use_mask=True, transpose=transpose
    )
    compare(configuration, made(2, margin=3), spacing)


@pytest.mark.parametrize("labels", [PLAIN, REGIONS])
@pytest.mark.parametrize("margin", [0, 3])
@pytest.mark.parametrize("transpose", [(0, 1, 2), (1, 2, 0)])
def test_first_stage_becomes_channels(labels: Any, margin: int, transpose: tuple[int, int, int]) -> None:
    configuration = make_configuration(
        schemes=("ZScoreNormalization",), use_mask=True, previous_stage="lowres", transpose=transpose
    )
    image = made(margin=margin)
    fields = np.random.default_rng(1).normal(size=(4, *image.shape[1:]))
    previous = np.stack([gaussian_filter(field, 1.5) for field in fields]).argmax(0).astype(np.uint8)
    compare(configuration, image, previous=previous, labels=labels)


@pytest.mark.parametrize("function", ["resample_torch_fornnunet", "no_resampling_hack"])
@pytest.mark.parametrize("target", [(1.5, 1.5, 1.5), (9.0, 1.5, 1.5)])
def test_other_resampling_functions_run_as_named(function: str, target: tuple[float, ...]) -> None:
    image = made(2, margin=3)
    configuration = make_configuration(
        spacing=target, schemes=("CTNormalization", "ZScoreNormalization"), function=function, use_mask=True,
        previous_stage="lowres", transpose=(1, 0, 2),
    )  # fmt: skip
    compare(configuration, image)
    previous = (image[0] > 300).astype(np.uint8) + (image[0] > 900) + (image[1] > 900)
    compare(configuration, image, previous=previous)


def test_views_are_measured_in_the_order_of_a_files_array() -> None:
    """A mean in single precision over a million voxels shows the order in which they were added."""
    image = (np.random.default_rng(0).normal(size=(1, 60, 130, 140)) * 300 + 3000).astype(np.float32)
    configuration = make_configuration(schemes=("ZScoreNormalization",), spacing=SPACING)
    compare(configuration, image[:, :, ::-1, ::-1].transpose(0, 1, 3, 2), SPACING)
    compare(configuration, image[:, 1:-1], SPACING)


def test_parts_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "VOXELS_AT_ONCE", 1000)
    compare(make_configuration(schemes=SCHEMES, use_mask=True), made(4, (25, 40, 38), margin=3))
    compare(
        make_configuration(spacing=(6.0, 0.8, 0.8), schemes=SCHEMES, use_mask=True), made(4, (25, 40, 38), margin=3)
    )


@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3), seed=st.integers(0, 999), share=st.sampled_from([0.0, 0.05, 0.5, 0.9])
)
@settings(max_examples=150, deadline=None)
def test_box_and_mask_are_nnunets(shape: tuple[int, int, int], seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    image = rng.choice([0.0, 1.0, -2.0], (2, *shape), p=[1 - share, share / 2, share / 2]).astype(np.float32)
    cropped, mask, box = crop_to_nonzero(image.copy())
    ours = nonzero_box(image)
    assert [[part.start, part.stop] for part in ours] == [list(map(int, ends)) for ends in box]
    assert np.array_equal(nonzero_mask(image[(slice(None), *ours)]), mask[0] >= 0)
    assert np.array_equal(mask[0] >= 0, binary_fill_holes((image != 0).any(0))[ours])
    assert cropped.shape[1:] == mask.shape[1:]
