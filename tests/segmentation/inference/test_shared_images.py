"""Models of one study that see the same image have it made once, and give what each gives alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.volume import Volume
from segmentation.importing.add import add_package
from segmentation.inference import predictor
from segmentation.inference.engine import Engine
from segmentation.inference.shared_images import SharedImages, frame_key
from segmentation.package.package import Package
from tests.support.tiny_models import make_results_folder, make_volume

Add = Callable[..., Package]


@pytest.fixture
def add(tmp_path: Path) -> Add:
    """Return a function that adds a package of a kind under a name."""

    def make(name: str, kind: str = "3d_fullres", **changes: Any) -> Package:
        return add_package(make_results_folder(tmp_path / name, kind, **changes), name, tmp_path / "models")

    return make


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List the configuration of every image that was normalised and resampled."""
    names: list[str] = []
    original = predictor.preprocess

    def preprocess(image: Any, spacing: Any, configuration: Any, *others: Any, **more: Any) -> Any:
        names.append(configuration.name)
        return original(image, spacing, configuration, *others, **more)

    monkeypatch.setattr(predictor, "preprocess", preprocess)
    return names


def run(packages: list[Package], volumes: list[Volume]) -> list[Any]:
    shared = SharedImages(list(zip(packages, volumes, strict=True)))
    masks = [
        Engine(package, "cpu").segment(volume, None, shared).label_map.array
        for package, volume in zip(packages, volumes, strict=True)
    ]
    assert shared._kept == {}, "nothing is held that nobody will ask for"
    return masks


def alone(packages: list[Package], volumes: list[Volume]) -> list[Any]:
    return [Engine(p, "cpu").segment(v).label_map.array for p, v in zip(packages, volumes, strict=True)]


def test_equal_models_share_one_image(add: Add, counted: list[str]) -> None:
    packages = [add(f"part{seed}", seed=seed) for seed in range(3)]
    volume = make_volume(shape=(10, 24, 22))
    masks = run(packages, [volume] * 3)
    assert len(counted) == 1
    for mask, expected in zip(masks, alone(packages, [volume] * 3), strict=True):
        assert np.array_equal(mask, expected)


@pytest.mark.parametrize(
    "other",
    [
        {"spacing": (2.5, 1.4, 1.4)},
        {"transpose": (1, 0, 2)},
        {"resampling": "resample_torch_fornnunet"},
        {"mask_for_norm": True},
        {"reader": "SimpleITKIOWithReorient"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_models_that_see_another_image_do_not(add: Add, counted: list[str], other: dict[str, Any]) -> None:
    packages = [add("one"), add("other", seed=1, **other)]
    volume = make_volume(shape=(10, 24, 22))
    masks = run(packages, [volume] * 2)
    assert len(counted) == 2
    for mask, expected in zip(masks, alone(packages, [volume] * 2), strict=True):
        assert np.array_equal(mask, expected)


def test_other_volumes_are_other_images(add: Add, counted: list[str]) -> None:
    packages = [add("one"), add("two")]
    volumes = [make_volume(shape=(10, 24, 22), seed=seed) for seed in (1, 2)]
    masks = run(packages, volumes)
    assert len(counted) == 2
    for mask, expected in zip(masks, alone(packages, volumes), strict=True):
        assert np.array_equal(mask, expected)


def test_a_first_stage_shares_and_a_second_does_not(add: Add, counted: list[str]) -> None:
    packages = [add("cascade", "cascade"), add("again", "cascade", seed=4)]
    volume = make_volume(shape=(10, 24, 22))
    masks = run(packages, [volume] * 2)
    assert counted == ["3d_lowres", "3d_cascade_fullres", "3d_cascade_fullres"]
    for mask, expected in zip(masks, alone(packages, [volume] * 2), strict=True):
        assert np.array_equal(mask, expected)


def test_profiles_that_look_at_other_parts_do_not_share(add: Add, counted: list[str]) -> None:
    package = add("one")
    fast = package.in_profile("fast")
    assert frame_key(package) != frame_key(fast)
    run([package, fast], [make_volume(shape=(10, 24, 22))] * 2)
    assert len(counted) == 2
