"""Several networks whose labels make one mask: what nnU-Net gives for each, laid over each other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import PackageInvalid
from core.volume import Geometry
from segmentation.importing.totalsegmentator import add_totalsegmentator
from segmentation.inference import predictor
from segmentation.inference.engine import Engine
from segmentation.inference.memory_estimate import predict
from segmentation.labels.composite import overlay
from segmentation.package.package import Package, load_package
from segmentation.preprocessing.preprocess import preprocess
from tests.segmentation.preprocessing.test_orientation import AXIAL, SAGITTAL, blob, rotation
from tests.support import stock_nnunet as stock
from tests.support.tiny_models import make_volume
from tests.support.totalsegmentator_folder import DATASETS, make_directional_parts, make_totalsegmentator

pytestmark = pytest.mark.slow

OBLIQUE = rotation(17, 0) @ rotation(11, 2)
OFFSETS = (0, 24, 50, 68, 91)
"""Classes of the parts before: 24 organs, 26 vertebrae, 18 of heart and vessels, 23 muscles, then 26 ribs."""


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List the configuration of every image that was normalised and resampled."""
    names: list[str] = []

    def counting(image: Any, spacing: Any, configuration: Any, *others: Any, **more: Any) -> Any:
        names.append(configuration.id)
        return preprocess(image, spacing, configuration, *others, **more)

    monkeypatch.setattr(predictor, "preprocess", counting)
    return names


def test_labels_are_those_of_nnunet_part_by_part_merged_with_numpy(tmp_path: Path, counted: list[str]) -> None:
    parts = make_totalsegmentator(tmp_path / "weights", reader="SimpleITKIOWithReorient")
    package = add_totalsegmentator(tmp_path / "weights", "total", tmp_path / "models")
    volume = make_volume(direction=OBLIQUE)
    files = stock.write_images(volume, tmp_path / "images", ".mha")
    expected: NDArray[np.integer[Any]] = np.zeros(volume.geometry.shape, dtype=np.int64)
    overlaps = 0
    for part, offset in zip(parts, OFFSETS, strict=True):
        found = stock.predict(part, files, tmp_path / "out" / part.parent.name, step=0.8).astype(np.int64)
        overlaps += int(((found > 0) & (expected > 0)).sum())
        expected = np.where(found > 0, found + offset, expected)
    progress: list[float] = []
    result = Engine(load_package(package.folder), "cpu").segment(volume, progress.append)
    assert overlaps > 1000, "else the order says nothing"
    assert all(np.isin(range(low + 1, low + 19), expected).sum() > 5 for low in OFFSETS)
    assert int((result.label_map.array != expected).sum()) == 0
    assert result.label_map.array.dtype == np.uint8
    assert len(counted) == 1, "parts that see the same image share it"
    assert progress == sorted(progress)
    assert progress[-1] == 1.0


def test_parts_that_see_another_image_get_their_own(tmp_path: Path, counted: list[str]) -> None:
    weights = tmp_path / "weights"
    make_totalsegmentator(weights)
    make_totalsegmentator(tmp_path / "coarse", spacing=(3.0, 2.0, 2.0))
    cardiac = next(weights.glob("Dataset293_*"))
    cardiac.rename(tmp_path / "away")
    next((tmp_path / "coarse").glob("Dataset293_*")).rename(cardiac)
    package = add_totalsegmentator(weights, "total", tmp_path / "models")
    Engine(package, "cpu").segment(make_volume(shape=(10, 24, 22)))
    assert [name[:10] for name in counted] == ["Dataset291", "Dataset293"]


def test_an_image_that_a_later_part_wants_counts_meanwhile(tmp_path: Path) -> None:
    """No image waits beside the part with another image if that part runs last."""
    geometry = Geometry((100, 256, 256), (3.0, 1.5, 1.5), (0.0, 0.0, 0.0), np.eye(3))
    needs = {}
    for number in (292, 295):  # of as many classes
        weights, finer = tmp_path / f"{number}", tmp_path / f"{number}_finer"
        make_totalsegmentator(weights, spacing=(3.0, 1.5, 1.5))
        make_totalsegmentator(finer, spacing=(1.5, 0.75, 0.75))
        (weights / DATASETS[number]).rename(tmp_path / f"{number}_away")
        (finer / DATASETS[number]).rename(weights / DATASETS[number])
        package = add_totalsegmentator(weights, f"total-{number}", tmp_path / "models")
        needs[number] = predict(package, geometry, "cpu").host
    assert needs[292] - needs[295] == 4 * 100 * 256 * 256


@pytest.mark.parametrize("direction", [AXIAL, SAGITTAL, OBLIQUE], ids=["axial", "sagittal", "oblique"])
def test_networks_see_the_patient_in_ras_whatever_their_plans_reader(
    direction: NDArray[np.float64], tmp_path: Path
) -> None:
    """Each part marks the same voxels, so the mask holds the last part's labels and no other."""
    make_directional_parts(tmp_path / "weights")
    package = add_totalsegmentator(tmp_path / "weights", "total", tmp_path / "models")
    volume = blob(direction)
    labels = Engine(package, "cpu").segment(volume).label_map.array
    assert set(np.unique(labels)) == {0, *range(92, 98)}
    sides = {1: (1, 0, 0), 2: (-1, 0, 0), 3: (0, 1, 0), 4: (0, -1, 0), 5: (0, 0, -1), 6: (0, 0, 1)}
    for own, side in sides.items():
        position = volume.geometry.index_to_lps(np.argwhere(labels == 91 + own)).mean(axis=0)
        assert position @ side > 0.8 * np.linalg.norm(position)
        assert np.linalg.norm(position) > 5


def test_a_flip_would_be_noticed(tmp_path: Path) -> None:
    make_directional_parts(tmp_path / "weights")
    package = add_totalsegmentator(tmp_path / "weights", "total", tmp_path / "models")
    right_order = Engine(package, "cpu").segment(blob(AXIAL)).label_map.array
    path = package.folder / "model.yaml"
    path.write_text(path.read_text().replace("orientation: RAS", "orientation: acquired"))
    as_acquired = Engine(load_package(package.folder), "cpu").segment(blob(AXIAL)).label_map.array
    assert (as_acquired[right_order == 92] == 93).mean() > 0.9
    assert (as_acquired[right_order == 94] == 95).mean() > 0.9


def test_background_of_a_later_part_leaves_what_is_there() -> None:
    merged = np.array([[[0, 1, 2, 2]]], dtype=np.uint16)
    overlay(merged, np.array([[[0, 0, 1, 2]]], dtype=np.uint8), {1: 300, 2: 7})
    assert merged.tolist() == [[[0, 1, 300, 7]]]


def _manifest(package: Package, old: str, new: str) -> None:
    """Change ``manifest.json`` and seal it again, as someone would who means harm."""
    from segmentation.package.hashes import write_sums

    path = package.folder / "manifest.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    write_sums(package.folder)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"24": 24', '"24": 25', "not those of labels"),
        ('"24": 24', '"25": 24', "not those of its labels"),
        ('"24": 24', '"24": 0', "not those of its labels"),
        ('"configuration": "Dataset292', '"configuration": "Dataset299', "must be the members"),
    ],
)
def test_parts_that_contradict_the_whole_are_refused(old: str, new: str, words: str, tmp_path: Path) -> None:
    make_totalsegmentator(tmp_path / "weights")
    package = add_totalsegmentator(tmp_path / "weights", "total", tmp_path / "models")
    _manifest(package, old, new)
    with pytest.raises(PackageInvalid, match=words):
        load_package(package.folder)
