"""Profile fast against profile exact: equal where it is told to do the same, near where it is not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.volume import Volume
from phantom.anatomy import make_phantom, trunk_geometry
from segmentation.importing.add import add_package
from segmentation.inference import sliding_window
from segmentation.inference.engine import Engine
from segmentation.inference.predictor import precision_of
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


def test_bf16_is_used_where_the_processor_has_it(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.dtype | None] = []
    original = sliding_window.predict_slabs

    def predict(networks: Any, data: Any, window: Any, *others: Any) -> Any:
        seen.append(window.precision)
        return original(networks, data, window, *others)

    monkeypatch.setattr(sliding_window, "predict_slabs", predict)
    for there in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda there=there: {"amx_bf16": there})
        for profile in ("exact", "fast"):
            segmented(package, profile, make_volume(shape=(10, 24, 22)))
    assert seen == [None, torch.bfloat16, None, None]
    gpu = torch.device("cuda")
    assert [precision_of(gpu, bf16=wanted) for wanted in (False, True)] == [torch.float16, torch.bfloat16]


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
    for value in (1, 3):
        a, b = exact == value, found == value
        assert a.sum() > 10_000
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > (0.97 if value == 1 else 0.8)
