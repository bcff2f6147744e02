"""Profile fast leaves out only the intended part of an image, and labels come back to exactly their voxels."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.model_config import Channel, Inference, LabelSpec, ModelConfig, ProfileSettings, SeriesRule
from phantom.anatomy import make_phantom, trunk_geometry
from segmentation.preprocessing.field_of_view import BODY_HU, FieldOfView, average, body_box
from segmentation.preprocessing.field_of_view import frame as frame_of

SHAPES = st.tuples(*[st.integers(1, 9)] * 3)
BLOCKS = st.tuples(*[st.integers(1, 4)] * 3)


def config(modality: str = "CT", profile: Any = "fast", **settings: Any) -> ModelConfig:
    return ModelConfig(
        schema=1,
        name="organs",
        orientation="acquired",
        channels=(Channel(name="image", series=SeriesRule(modality=(modality,))),),
        labels=(LabelSpec(value=1, name="liver"),),
        inference=Inference(profile=profile, fast=ProfileSettings(**settings)),
    )


def frame(image: NDArray[np.float32], spacing: Any, model: ModelConfig) -> tuple[Any, Any, FieldOfView]:
    """As a run without options of its own shows it."""
    return frame_of(image, spacing, model, model.inference.active)


@given(SHAPES, BLOCKS)
def test_the_mean_of_blocks_is_torchs(shape: tuple[int, int, int], blocks: tuple[int, int, int]) -> None:
    blocks = (min(blocks[0], shape[0]), min(blocks[1], shape[1]), min(blocks[2], shape[2]))  # torch asks for it
    image = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    theirs = torch.nn.functional.avg_pool3d(
        torch.from_numpy(image), blocks, blocks, ceil_mode=True, count_include_pad=False
    )
    np.testing.assert_allclose(average(image, blocks), theirs.numpy(), atol=1e-5)
    turned = np.ascontiguousarray(image.transpose(0, 3, 2, 1)).transpose(0, 3, 2, 1)
    np.testing.assert_allclose(average(turned, blocks), theirs.numpy(), atol=1e-5)


@given(SHAPES, BLOCKS, st.data())
def test_every_label_comes_back_to_the_voxels_it_was_decided_for(
    shape: tuple[int, int, int], blocks: tuple[int, int, int], data: st.DataObject
) -> None:
    counts = [-(-size // block) for size, block in zip(shape, blocks, strict=True)]
    starts = [data.draw(st.integers(0, count - 1)) for count in counts]
    stops = [data.draw(st.integers(start + 1, count)) for start, count in zip(starts, counts, strict=True)]
    box = tuple(slice(start, stop) for start, stop in zip(starts, stops, strict=True))
    part = np.random.default_rng(1).integers(1, 250, [s.stop - s.start for s in box]).astype(np.uint8)
    whole = FieldOfView(shape, blocks, (box[0], box[1], box[2])).undo(part)
    assert whole.shape == shape
    assert whole.flags.c_contiguous
    for voxel in product(*map(range, shape)):
        place = [index // block - part.start for index, block, part in zip(voxel, blocks, box, strict=True)]
        inside = all(0 <= at < size for at, size in zip(place, part.shape, strict=True))
        assert whole[voxel] == (part[tuple(place)] if inside else 0)


def test_exact_shows_the_image_itself() -> None:
    image = np.full((1, 6, 7, 8), -1000, np.float32)
    shown, spacing, field_of_view = frame(image, (0.3, 0.3, 0.3), config(profile="exact", finest_useful_spacing=1.0))
    assert shown is image
    assert spacing == (0.3, 0.3, 0.3)
    assert field_of_view.is_whole


@pytest.mark.parametrize(
    ("spacing", "blocks"),
    [
        ((0.5, 0.5, 0.5), (2, 2, 2)),
        ((1.5, 0.78, 0.78), (1, 1, 1)),
        ((5.0, 0.33, 0.25), (1, 3, 4)),
        ((1.0,) * 3, (1,) * 3),
    ],
)
def test_voxels_stay_at_most_as_large_as_is_useful(
    spacing: tuple[float, float, float], blocks: tuple[int, int, int]
) -> None:
    image = np.zeros((1, 8, 8, 8), np.float32)
    shown, coarser, field_of_view = frame(image, spacing, config("MR", finest_useful_spacing=1.0))
    assert field_of_view.blocks == blocks
    assert coarser == pytest.approx([s * b for s, b in zip(spacing, blocks, strict=True)])
    assert shown.shape[1:] == tuple(-(-8 // block) for block in blocks)


def test_the_body_box_holds_the_whole_patient_and_little_else() -> None:
    geometry = trunk_geometry((5.0, 2.0, 2.0), extent=(200.0, 600.0, 700.0))
    image = make_phantom(geometry).array.astype(np.float32)
    patient = make_phantom(geometry).labels > 0
    box = body_box(image, geometry.spacing)
    assert patient[box].sum() == patient.sum()
    assert np.prod([part.stop - part.start for part in box]) < 0.8 * image.size  # the table stays in


def test_a_part_of_the_body_that_lies_apart_stays_in_and_noise_does_not() -> None:
    image = np.full((40, 200, 200), -1000, np.float32)
    image[:, 80:120, 80:120] = 40
    image[:, 90:100, 10:20] = 40  # an arm
    image[20, 180, 180] = 3000
    box = body_box(image, (2.0, 2.0, 2.0))
    assert box[2].start == 0
    assert 133 <= box[1].stop < 140


def test_a_ct_of_air_is_left_as_it_is() -> None:
    image = np.full((4, 10, 12), BODY_HU - 1, np.float32)
    assert body_box(image, (1.0, 1.0, 1.0)) == (slice(0, 4), slice(0, 10), slice(0, 12))


def test_only_a_ct_is_cropped_to_the_body() -> None:
    image = np.full((1, 30, 100, 100), -1000, np.float32)
    image[:, :, 40:60, 40:60] = 0
    assert frame(image, (3.0, 3.0, 3.0), config("MR"))[2].is_whole
    assert not frame(image, (3.0, 3.0, 3.0), config("CT"))[2].is_whole
    assert frame(image, (3.0, 3.0, 3.0), config("CT", crop_to_body=False))[2].is_whole
