"""Labels of irregular stacks against nnU-Net's own network, resampling and files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from core.regular_grid import regular_grid
from core.volume import Volume
from segmentation.importing.add import add_package
from segmentation.inference.engine import Engine
from segmentation.package.package import load_package
from segmentation.preprocessing.regular_image import fills, regular_volume
from tests.support import stock_nnunet as stock
from tests.support.stacks import made_stack, points_of
from tests.support.tiny_models import make_results_folder, volume_of

pytestmark = pytest.mark.slow

MAY_TURN = 3
"""Voxels whose two best logits, of half precision, lie within rounding of each other."""


def made_volume(gaps: Sequence[float], degrees: float) -> Volume:
    """Make an image of smooth noise around 0 HU on a stack."""
    geometry = made_stack(gaps, degrees, in_plane=(36, 32), pixels=(1.3, 1.2))
    noise = gaussian_filter(np.random.default_rng(3).normal(size=geometry.shape), 1.5)
    return volume_of((noise / noise.std() * 300).astype(np.float32)[None], geometry)


def cut_to_acquired(regular: Volume) -> Volume:
    """Cut off the last row where nothing of it was acquired, as the crop does; the first one always was."""
    if regular.acquired is None:
        return regular
    slices, rows, columns = (
        int(np.flatnonzero(regular.acquired.any(axis=a))[-1]) + 1 for a in ((1, 2), (0, 2), (0, 1))
    )
    geometry = replace(regular.geometry, shape=(slices, rows, columns))
    array = np.ascontiguousarray(regular.array[:, :slices, :rows, :columns])
    return replace(regular, array=array, geometry=geometry, acquired=None)


def logits_of_nnunet(folder: Path, regular: Volume) -> NDArray[np.float32]:
    """Return the logits ``(output, z, y, x)`` that nnU-Net computes on its network's grid."""
    predictor = stock.predictor(folder)
    preprocessor = predictor.configuration_manager.preprocessor_class(verbose=False)
    data, _, _ = preprocessor.run_case_npy(
        regular.array,
        None,
        {"spacing": list(regular.geometry.spacing)},
        predictor.plans_manager,
        predictor.configuration_manager,
        predictor.dataset_json,
    )
    logits: Any = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data))
    found: NDArray[np.float32] = logits.float().numpy()
    return found


@pytest.mark.parametrize(
    ("gaps", "degrees"), [([3.0] * 17, 18.5), ([2.0] * 9 + [4.0] * 8, 0.0), ([2.0] * 9 + [4.0] * 8, -30.0)], ids=str
)
def test_labels_are_those_of_nnunets_logits_at_each_true_point(
    gaps: Sequence[float], degrees: float, tmp_path: Path
) -> None:
    source = make_results_folder(tmp_path, "3d_fullres", mirror_axes=None, trainer="nnUNetTrainerNoMirroring")
    package = load_package(add_package(source, "tiny", tmp_path / "models").folder)
    volume = made_volume(gaps, degrees)
    result = Engine(package, "cpu").segment(volume, regular_too=True)
    regular = cut_to_acquired(regular_volume(volume, fills(package.config)))
    files = stock.write_images(regular, tmp_path / "images")
    assert result.regular is not None
    assert result.regular.geometry.same_grid(regular_grid(volume.geometry))
    # files, and the masks of the service: labels of the regular grid's own points
    slices, rows, columns = regular.geometry.shape
    assert np.array_equal(
        result.regular.array[:slices, :rows, :columns], stock.predict(source, files, tmp_path / "out")
    )
    logits = logits_of_nnunet(source, regular)
    index = regular.geometry.lps_to_index(points_of(volume.geometry))
    scale = np.array(logits.shape[1:]) / regular.geometry.shape
    places = np.moveaxis((index + 0.5) * scale - 0.5, -1, 0)
    at = np.stack([map_coordinates(output, places, order=1, mode="nearest") for output in logits])
    expected = at.argmax(axis=0)
    assert len(np.unique(expected)) == 4
    assert (result.label_map.array != expected).sum() <= MAY_TURN
