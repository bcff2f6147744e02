"""Predicted memory against measured peaks, and the images that are refused."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from core.errors import ReasonCode, StudyRejected
from core.model_config import KeepLargest, Open, PostprocessingStep
from core.volume import Geometry
from segmentation.importing.add import add_package
from segmentation.inference.available_memory import Memory
from segmentation.inference.memory_estimate import FINISHING_BYTES, STEP_BYTES, Need, check, of_study, predict, together
from segmentation.package.package import Package
from tests.support.tiny_models import make_results_folder

pytestmark = pytest.mark.slow

FACTOR = 1.5
"""Factor within which prediction and measurement agree, both ways, for the networks' need besides the volume."""
GB = 2**30
RESET = Path("/proc/self/clear_refs")

PROGRAM = """
import ctypes, sys
from pathlib import Path
import numpy as np
from core.volume import Geometry
from segmentation.inference.engine import Engine
from segmentation.inference.memory_estimate import predict
from segmentation.package.package import load_package
from tests.support.tiny_models import volume_of

def rss(name):
    return int(Path("/proc/self/status").read_text().split(name)[1].split()[0]) * 1024

package = load_package(Path(sys.argv[1])).in_profile(sys.argv[4])
shape, spacing = (tuple(map(kind, text.split(","))) for kind, text in zip((int, float), sys.argv[2:4]))
channels = len(package.manifest.channels)
# Warm is everything but the networks that are measured: OpenVINO keeps the memory of its first tile.
warmed = Engine(package.in_profile("exact"), "cpu")
engine = warmed if sys.argv[4] == "exact" else Engine(package, "cpu")
package = engine.package
warm = Geometry((8, 32, 32), (3.0, 1.5, 1.5), (0.0, 0.0, 0.0), np.eye(3))
warmed.segment(volume_of(np.ones((channels, 8, 32, 32), np.float32), warm))
array = np.empty((channels, *shape), np.float32)
noise = np.random.default_rng(0).normal(0, 300, shape[1:]).astype(np.float32)
for plane in array.reshape(-1, *shape[1:]):
    plane[:] = noise
geometry = Geometry(shape, spacing, (0.0, 0.0, 0.0), np.eye(3))
ctypes.CDLL("libc.so.6").malloc_trim(0)
before = rss("VmRSS:")
Path("/proc/self/clear_refs").write_text("5")
engine.segment(volume_of(array, geometry))
print(rss("VmHWM:") - before, predict(package, geometry, "cpu").host)
"""


def labels(count: int) -> dict[str, Any]:
    return {"background": 0, **{f"organ {value}": value for value in range(1, count)}}


def grid(*shape: int, spacing: tuple[float, float, float] = (1.5, 0.78, 0.78)) -> Geometry:
    return Geometry((shape[0], shape[1], shape[2]), spacing, (0.0, 0.0, 0.0), np.eye(3))


def package_of(folder: Path, kind: str = "3d_fullres", **changes: Any) -> Package:
    return add_package(make_results_folder(folder, kind, **changes), "model", folder / "models")


@pytest.mark.skipif(not RESET.exists(), reason="the kernel keeps no peak of memory that can be reset")
@pytest.mark.parametrize(
    ("kind", "classes", "patch", "shape", "spacing", "profile"),
    [
        ("3d_fullres", 60, (64, 64, 64), (60, 160, 160), (1.5, 0.78, 0.78), "exact"),
        ("two_channels", 4, (32, 64, 64), (60, 200, 200), (2.5, 1.5, 1.5), "exact"),
        ("cascade", 4, (64, 64, 64), (60, 200, 200), (2.5, 1.5, 1.5), "exact"),
        ("3d_fullres", 60, (64, 64, 64), (60, 160, 160), (1.5, 0.78, 0.78), "equal"),
    ],
)
def test_the_prediction_is_near_the_measured_peak(
    kind: str,
    classes: int,
    patch: tuple[int, int, int],
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    profile: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if profile == "equal":
        request.getfixturevalue("openvino")
    changes: dict[str, Any] = {"labels": labels(classes), "patch_size": patch}
    if kind != "two_channels":  # whose mirror axes and masks are its point
        changes["mirror_axes"] = None
    package = package_of(tmp_path, kind, **changes)
    model = package.folder / "model.yaml"
    model.write_text(
        model.read_text()
        .replace("step_size: 0.5", "step_size: 1.0", 1)
        .replace("mirroring: true", "mirroring: false", 1)
    )
    arguments = [str(package.folder), ",".join(map(str, shape)), ",".join(map(str, spacing)), profile]
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter and program text
    assert done.returncode == 0, done.stderr
    measured, predicted = map(int, done.stdout.split())
    assert measured / FACTOR < predicted < measured * FACTOR, f"{predicted / 1e6:.0f} for {measured / 1e6:.0f} MB"


def test_118_classes_stay_below_8_gb(tmp_path: Path) -> None:
    package = package_of(tmp_path, labels=labels(118), patch_size=(128,) * 3, spacing=(1.5,) * 3, mirror_axes=None)
    wide = replace(package, manifest=_with_features(package, 32))
    need = predict(wide, grid(400, 512, 512), "cpu")
    assert 3e9 < need.total < 8e9
    assert predict(package, grid(400, 512, 512), "cpu").total < need.total


def test_3000_slices_grow_by_the_volume_and_the_networks_image_and_not_by_the_classes(tmp_path: Path) -> None:
    few, many = (
        package_of(tmp_path / str(n), labels=labels(n), patch_size=(128,) * 3, spacing=(1.5,) * 3, mirror_axes=None)
        for n in (4, 118)
    )
    growth = [
        predict(p, grid(3000, 512, 512), "cpu").total - predict(p, grid(400, 512, 512), "cpu").total
        for p in (few, many)
    ]
    voxels = 2600 * 512 * 512
    assert max(growth) < (4 + 6) * voxels
    assert predict(many, grid(3000, 512, 512), "cpu").total < 12e9


def test_each_of_its_causes_raises_the_prediction(tmp_path: Path) -> None:
    plain = predict(package_of(tmp_path / "plain"), grid(100, 256, 256), "cpu").host
    for kind in ("folds", "cascade", "ensemble", "two_channels", "torch_resampling"):
        assert predict(package_of(tmp_path / kind, kind), grid(100, 256, 256), "cpu").host > plain, kind
    many = package_of(tmp_path / "many", labels=labels(40))
    assert predict(many, grid(100, 256, 256), "cpu").host > plain
    in_large_patches = package_of(tmp_path / "patch", patch_size=(64, 64, 64))
    assert predict(in_large_patches, grid(100, 256, 256), "cpu").host > plain


def test_averaged_voxels_need_less(tmp_path: Path) -> None:
    package = package_of(tmp_path, "two_channels").in_profile("fast")
    fine = grid(400, 512, 512, spacing=(0.4, 0.4, 0.4))
    finest = package.config.inference.fast.finest_useful_spacing
    assert finest == 1.0
    inference = package.config.inference
    fast = inference.fast.model_copy(update={"finest_useful_spacing": None})
    config = package.config.model_copy(update={"inference": inference.model_copy(update={"fast": fast})})
    assert predict(package, fine, "cpu").host < predict(replace(package, config=config), fine, "cpu").host / 2


def test_a_gpu_holds_all_or_one_tile_at_a_time(tmp_path: Path) -> None:
    package = package_of(tmp_path, labels=labels(60))
    everything = predict(package, grid(400, 512, 512), "cuda")
    tiles = predict(package, grid(400, 512, 512), "cuda", results_on_gpu=False)
    assert tiles.gpu < everything.gpu / 2
    assert tiles.host > everything.host
    assert predict(package, grid(400, 512, 512), "cpu").gpu == 0


def test_an_image_that_no_empty_machine_holds_is_refused_with_figures(tmp_path: Path) -> None:
    package = package_of(tmp_path)
    large = grid(3000, 512, 512)
    need = predict(package, large, "cpu")
    check(package, large, "cpu", Memory(0, need.total + 2 * GB), None)
    with pytest.raises(
        StudyRejected, match=r"model needs .* GB for 3000 x 512 x 512 voxels; this machine has 4.3 GB"
    ) as caught:
        check(package, large, "cpu", Memory(4 * GB, 4 * GB), None)
    assert caught.value.code is ReasonCode.TOO_LARGE
    with pytest.raises(
        StudyRejected,
        match=r"GB on the GPU for 3000 x 512 x 512 voxels; this machine has 515\.4 GB and 0\.1 GB on the GPU",
    ):
        check(package, large, "cuda", Memory(GB, 480 * GB), Memory(2**27, 2**27))


def test_studies_that_overlap_need_one_network_at_a_time() -> None:
    first = Need(volume=10, host=100, after=20, gpu=0, labels=3)
    second = Need(volume=5, host=60, after=8, gpu=0, labels=1)
    assert together([first]) == first.total == 110
    assert together([first, second]) == 10 + 20 + 5 + 8 + 80


def test_post_processing_raises_what_is_needed_after_the_networks(tmp_path: Path) -> None:
    package = package_of(tmp_path)
    plain = predict(package, grid(100, 256, 256), "cpu")
    steps = (KeepLargest(step="keep_largest"), Open(step="open", radius_mm=2.0))
    cleaned = replace(package, config=package.config.model_copy(update={"postprocessing": steps}))
    need = predict(cleaned, grid(100, 256, 256), "cpu")
    assert (need.after, plain.after) == (STEP_BYTES["open"] * 100 * 256**2, FINISHING_BYTES * 100 * 256**2)
    assert need == replace(plain, after=need.after)


def test_every_step_of_post_processing_has_its_bytes() -> None:
    kinds = [kind for union in get_args(PostprocessingStep)[:1] for kind in get_args(union)]
    assert {get_args(kind.model_fields["step"].annotation)[0] for kind in kinds} == set(STEP_BYTES)


def test_models_of_one_study_share_a_volume() -> None:
    need = Need(volume=10, host=100, after=12, gpu=3, labels=2)
    other = Need(volume=10, host=50, after=12, gpu=9, labels=2)
    assert of_study({"ct": [need, other]}) == Need(volume=10, host=100, after=4 + 12, gpu=9, labels=4)
    assert of_study({"ct": [need], "mr": [other]}).volume == 20


def _with_features(package: Package, first: int) -> Any:
    configurations = []
    for one in package.manifest.configurations:
        arguments = {**one.network.arguments, "features_per_stage": [first, 64, 128]}
        network = one.network.model_copy(update={"arguments": arguments})
        configurations.append(one.model_copy(update={"network": network}))
    return package.manifest.model_copy(update={"configurations": tuple(configurations)})
