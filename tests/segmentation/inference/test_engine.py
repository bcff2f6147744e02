"""The engine around the networks: devices, progress, timings, settings, failures."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.cancellation import Cancellation
from core.errors import Cancelled, ConfigInvalid, PackageInvalid, RetryLater
from segmentation.importing.add import add_package
from segmentation.inference import sliding_window
from segmentation.inference.engine import Engine, resolve_device
from segmentation.inference.predictor import STAGES
from segmentation.package.package import Package, load_package
from tests.support.tiny_models import make_results_folder, make_volume

SMALL = (10, 24, 22)


@pytest.fixture
def package(tmp_path: Path) -> Package:
    """Add a plain model."""
    return add_package(
        make_results_folder(tmp_path, "3d_fullres", folds=(0, 1), mirror_axes=(2,)), "tiny", tmp_path / "models"
    )


def edited(package: Package, old: str, new: str) -> Package:
    """Edit the package's ``model.yaml``, and load it again."""
    path = package.folder / "model.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return load_package(package.folder)


def test_device_names() -> None:
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigInvalid, match="use auto, cuda or cpu"):
        resolve_device("tpu")


def test_missing_cuda_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigInvalid, match="no CUDA device"):
        resolve_device("cuda")


def test_result_lies_on_the_volume_and_tells_its_time(package: Package) -> None:
    volume = make_volume(shape=SMALL)
    result = Engine(package, "cpu").segment(volume)
    assert result.label_map.geometry is volume.geometry
    assert result.label_map.array.dtype == np.uint8
    assert result.label_map.array.flags.c_contiguous
    assert [label.name for label in result.label_map.labels] == ["liver", "left kidney", "tumour"]
    assert tuple(result.timings_s) == STAGES
    assert min(result.timings_s.values()) > 0


@pytest.mark.parametrize("kind", ["folds", "cascade", "ensemble", "2d"])
def test_progress_rises_to_one(kind: str, tmp_path: Path) -> None:
    package = add_package(make_results_folder(tmp_path, kind), "tiny", tmp_path / "models")
    seen: list[float] = []
    Engine(package, "cpu").segment(make_volume(), seen.append)
    assert len(seen) > 8
    assert all(later > earlier for earlier, later in pairwise(seen))
    assert seen[0] > 0
    assert seen[-1] == pytest.approx(1.0)


def test_cancelled_work_ends_after_the_tile_under_way(package: Package) -> None:
    seen: list[float] = []
    with pytest.raises(Cancelled):
        Engine(package, "cpu").segment(make_volume(), seen.append, cancellation=Cancellation(lambda: len(seen) == 2))
    assert len(seen) == 2


def test_engine_gives_the_same_again(package: Package) -> None:
    engine, volume = Engine(package, "cpu"), make_volume(shape=SMALL)
    first = engine.segment(volume).label_map.array
    engine.segment(make_volume(shape=SMALL, seed=1))
    assert np.array_equal(engine.segment(volume).label_map.array, first)


def test_input_may_be_read_only(package: Package) -> None:
    volume = make_volume(shape=SMALL)
    volume.array.setflags(write=False)
    Engine(edited(package, "orientation: acquired", "orientation: RAS"), "cpu").segment(volume)


def test_volume_of_nothing_but_zeros(package: Package) -> None:
    volume = make_volume(shape=SMALL)
    volume.array[:] = 0
    assert Engine(package, "cpu").segment(volume).label_map.array.shape == SMALL


def test_one_slice(tmp_path: Path) -> None:
    package = add_package(make_results_folder(tmp_path, "2d"), "tiny", tmp_path / "models")
    assert Engine(package, "cpu").segment(make_volume(shape=(1, 40, 36))).label_map.array.any()


def test_channels_must_be_the_models(package: Package) -> None:
    with pytest.raises(ValueError, match="the volume has 2 channels, but the model needs 1"):
        Engine(package, "cpu").segment(make_volume(channels=2, shape=SMALL))


def test_settings_of_model_yaml_count(package: Package) -> None:
    volume = make_volume(shape=(20, 40, 36))
    plain = Engine(package, "cpu").segment(volume).label_map.array
    one_fold = Engine(edited(package, "folds: []", "folds: [1]"), "cpu")
    assert len(one_fold._networks[package.manifest.members[0]]) == 1
    with_one_fold = one_fold.segment(volume).label_map.array
    unmirrored = edited(package, "mirroring: true", "mirroring: false")
    without_mirroring = Engine(unmirrored, "cpu").segment(volume).label_map.array
    with_small_steps = Engine(edited(package, "step_size: 0.5", "step_size: 0.4"), "cpu").segment(volume)
    results = [plain, with_one_fold, without_mirroring, with_small_steps.label_map.array]
    assert len({result.tobytes() for result in results}) == 4


def test_large_label_values_need_more_bits(tmp_path: Path) -> None:
    labels = {"background": 0, **{f"rib {value}": value for value in range(1, 301)}}
    source = make_results_folder(tmp_path, "3d_fullres", labels=labels, mirror_axes=None)
    package = add_package(source, "many", tmp_path / "models")
    label_map = Engine(package, "cpu").segment(make_volume(shape=SMALL)).label_map
    assert label_map.array.dtype == np.uint16
    assert label_map.array.max() > 255


class TestMemory:
    def test_logits_move_to_the_cpu_when_the_gpu_is_full(
        self, package: Package, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first attempt, which keeps its logits on the device, runs out of memory in its second slab."""
        volume = make_volume(shape=(40, 24, 22))
        expected = Engine(package, "cpu").segment(volume).label_map.array
        calls: list[Any] = []
        seen: list[float] = []
        real = sliding_window.predict_slabs

        def predict(*arguments: Any) -> Iterator[torch.Tensor]:
            calls.append(arguments)
            slabs = real(*arguments)
            yield next(slabs)
            if len(calls) == 1:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            yield from slabs

        monkeypatch.setattr(sliding_window, "predict_slabs", predict)
        result = Engine(package, "cpu").segment(volume, seen.append)
        assert np.array_equal(result.label_map.array, expected)
        assert len(calls) == 2
        assert seen == sorted(seen)
        assert seen[-1] == pytest.approx(1.0)

    def test_full_gpu_is_a_reason_to_try_later(self, package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
        def predict(*_: Any) -> Iterator[torch.Tensor]:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

        monkeypatch.setattr(sliding_window, "predict_slabs", predict)
        with pytest.raises(RetryLater, match="out of GPU memory now; retry later: CUDA out of memory"):
            Engine(package, "cpu").segment(make_volume(shape=SMALL))

    @pytest.mark.parametrize(("slices", "spacing"), [(40, 3.0), (90, 3.0), (90, 1.5)])
    def test_the_accumulator_holds_no_more_planes_than_a_patch(
        self, package: Package, monkeypatch: pytest.MonkeyPatch, slices: int, spacing: float
    ) -> None:
        kept: list[int] = []
        original = torch.zeros

        def zeros(shape: Any, *arguments: Any, **more: Any) -> torch.Tensor:
            if more.get("dtype") is torch.half:
                kept.append(shape[-3])
            return original(shape, *arguments, **more)

        monkeypatch.setattr(torch, "zeros", zeros)
        Engine(package, "cpu").segment(make_volume(shape=(slices, 24, 22), spacing=(spacing, 1.3, 1.2)))
        assert kept == [16, 16, 16]

    def test_logits_that_overflow_are_refused(self, package: Package) -> None:
        engine = Engine(package, "cpu")
        for network in engine._networks[package.manifest.members[0]]:
            network.module.decoder.seg_layers[-1].bias.data.fill_(1e6)  # type: ignore[union-attr, operator, index] # a U-Net
        with pytest.raises(PackageInvalid, match="overflow half precision"):
            engine.segment(make_volume(shape=SMALL))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
@pytest.mark.parametrize("kind", ["3d_fullres", "2d", "cascade", "ensemble", "regions"])
def test_gpu_agrees_with_the_cpu(kind: str, tmp_path: Path) -> None:
    package = add_package(make_results_folder(tmp_path, kind), "tiny", tmp_path / "models")
    volume = make_volume()
    on_gpu, on_cpu = (Engine(package, device).segment(volume).label_map.array for device in ("cuda", "cpu"))
    assert (on_gpu == on_cpu).mean() > 0.99


class TestTiles:
    """Against nnU-Net's own functions."""

    @pytest.mark.parametrize("shape", [(16, 24, 24), (17, 40, 61), (5, 100, 30)])
    @pytest.mark.parametrize("step", [0.3, 0.5, 0.8, 1.0])
    def test_starts(self, shape: tuple[int, int, int], step: float) -> None:
        from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window

        patch = (5, 24, 24)
        assert sliding_window.tile_starts(shape, patch, step) == compute_steps_for_sliding_window(shape, patch, step)

    @pytest.mark.parametrize("patch", [(16, 24, 24), (7, 9, 31), (64, 48)])
    def test_gaussian(self, patch: tuple[int, ...]) -> None:
        from nnunetv2.inference.sliding_window_prediction import compute_gaussian

        expected = compute_gaussian(patch, value_scaling_factor=10, device=torch.device("cpu"))
        assert torch.equal(sliding_window.gaussian_weights(patch), expected)

    @pytest.mark.parametrize("patch", [(16, 24, 24), (7, 9, 31), (64, 48)])
    def test_padding(self, patch: tuple[int, ...]) -> None:
        from acvl_utils.cropping_and_padding.padding import pad_nd_image

        data = torch.randn(2, 11, 20, 37)
        expected, slicer = pad_nd_image(data, patch, "constant", {"value": 0}, True, None)
        padded, inner = sliding_window.pad(data, patch)
        assert torch.equal(padded, expected)
        assert torch.equal(padded[inner], expected[slicer])
        assert torch.equal(padded[inner], data)
