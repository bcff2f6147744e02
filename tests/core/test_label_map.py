"""Counts and volumes of a label map."""

import numpy as np
import pytest

from core.label_map import LabelMap
from core.model_config import LabelSpec
from core.volume import Geometry

LABELS = tuple(LabelSpec(value=value, name=f"label {value}") for value in (1, 3, 200))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_voxels_are_counted_by_name_and_volumes_follow_the_spacing(dtype: type[np.uint8] | type[np.uint16]) -> None:
    array = np.random.default_rng(0).choice(np.array([0, 1, 200, 201], dtype), (5, 6, 7))
    label_map = LabelMap(array, Geometry((5, 6, 7), (5.0, 0.8, 0.7), (0.0, 0.0, 0.0), np.eye(3)), LABELS)
    counts = label_map.voxel_counts()
    assert counts == {"label 1": (array == 1).sum(), "label 3": 0, "label 200": (array == 200).sum()}
    volumes = label_map.volumes_ml()
    assert volumes["label 1"] == pytest.approx(counts["label 1"] * 2.8 / 1000, abs=5e-4)
    assert volumes["label 3"] == 0
    assert not label_map.is_empty


def test_a_mask_on_another_grid_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="not on the grid"):
        LabelMap(
            np.zeros((5, 6, 8), np.uint8), Geometry((5, 6, 7), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3)), LABELS
        )
