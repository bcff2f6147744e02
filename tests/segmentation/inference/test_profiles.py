"""Profile fast against profile exact: equal where it is told to do the same, near where it is not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.backend import Backend
from core.volume import Volume
from phantom.anatomy import make_phantom, trunk_geometry
from segmentation.backends.choice import backend_of, settle
from segmentation.backends.openvino_network import is_installed
from segmentation.importing.add import add_package
from segmentation.inference.engine import Engine
from segmentation.package.package import Package, load_package
from tests.support.tiny_models import make_results_folder, make_volume, volume_of

pytestmark = pytest.mark.slow

DEMO = Path(__file__).parents[3] / "models" / "demo"


def edited(package: Package, **settings: str) -> Package:
    """Set other settings of profile fast in the package's ``model.yaml``, and load it again."""
    path = package.folder / "model.yaml"
    head, fast = path.read_text().split("  fast:", 1)
    lines = fast.splitlines()
    for name, value in settings.items():
        (at,) = [number for number, line in enumerate(lines) if line.startswith(f"    {name}: ")]
        lines[at] = f"    {name}: {value}"
    path.write_text(head + "  fast:" + "\n".join(lines) + "\n")
    return load_package(package.folder)


def segmented(package: Package, profile: Any, volume: Volume) -> NDArray[Any]:
    return Engine(package.in_profile(profile), "cpu").segment(volume).label_map.array


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return add_package(make_results_folder(tmp_path, "3d_fullres", mirror_axes=(2,)), "tiny", tmp_path / "models")


def test_fast_with_the_settings_of_exact_gives_equal_labels(package: Package) -> None:
    volume = make_volume()
    same = edited(package, mirroring="true", step_size="0.5", bf16="false", crop_to_body="false")
    same = edited(same, finest_useful_spacing="null")
    same = replace(same, record=None)  # as before there were backends: torch, whose bits are those of exact
    assert backend_of(settle(same.in_profile("fast"), "cpu"), "cpu").name == "torch"
    assert np.array_equal(segmented(same, "fast", volume), segmented(same, "exact", volume))


def test_model_yaml_chooses_the_profile_and_exact_is_the_default(package: Package) -> None:
    assert package.inference.profile == "exact"
    path = package.folder / "model.yaml"
    path.write_text(path.read_text().replace("profile: exact", "profile: fast"))
    other = load_package(package.folder)
    assert other.inference.active.step_size == 0.8
    assert other.in_profile("exact").inference.active.step_size == 0.5
    assert other.in_profile("exact").sha256 == other.sha256
    volume = make_volume()
    assert np.array_equal(segmented(other, "fast", volume), Engine(other, "cpu").segment(volume).label_map.array)


@pytest.mark.parametrize("setting", ["mirroring: true", "step_size: 0.3", "finest_useful_spacing: 5.0"])
def test_each_setting_of_fast_counts(package: Package, setting: str) -> None:
    name, value = setting.split(": ")
    volume = make_volume()
    plain = edited(package, bf16="false", crop_to_body="false")
    before = segmented(plain, "fast", volume)
    after = segmented(edited(plain, **{name: value}), "fast", volume)
    assert before.shape == after.shape
    assert not np.array_equal(before, after)


def test_an_old_package_computes_bf16_with_amx_alone(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    old = replace(package, record=None)
    for units, precision in (({"amx_bf16": True}, "bfloat16"), ({"avx512_bf16": True}, "float32"), ({}, "float32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda units=units: units)
        for profile, expected in (("exact", "float32"), ("fast", precision)):
            engine = Engine(old.in_profile(profile), "cpu")
            assert engine.backend == Backend("torch", torch.__version__.partition("+")[0], expected)
            assert engine.package.options.backend is None  # no part of a result's UID
            (network,) = engine._networks[package.manifest.members[0]]
            assert network.precision is (torch.bfloat16 if expected == "bfloat16" else None)
    assert [backend_of(old.in_profile(one), "cuda").precision for one in ("exact", "fast")] == ["float16", "bfloat16"]


def test_the_demo_model_loses_little_on_a_patient() -> None:
    """All of fast at once, on a field of view with air around the patient and voxels finer than are useful."""
    geometry = trunk_geometry((5.0, 1.5, 1.5), extent=(100.0, 400.0, 500.0))
    volume = volume_of(make_phantom(geometry).array[None].astype(np.float32), geometry)
    package = load_package(DEMO)
    fast = package.config.inference.fast.model_copy(update={"finest_useful_spacing": 3.0})
    inference = package.config.inference.model_copy(update={"fast": fast, "profile": "fast"})
    config = package.config.model_copy(update={"inference": inference})
    package = Package(package.folder, config, package.manifest, package.sums, package.seal, package.sha256)
    exact, found = segmented(package, "exact", volume), segmented(package, "fast", volume)
    equal = Engine(package.in_profile("equal"), "cpu")
    assert equal.backend.name == ("openvino" if is_installed() else "torch")
    assert np.array_equal(equal.segment(volume).label_map.array, exact)
    for value in (1, 3):
        a, b = exact == value, found == value
        assert a.sum() > 10_000
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > (0.97 if value == 1 else 0.8)
