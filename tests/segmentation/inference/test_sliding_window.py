"""Logits against nnU-Net's own sliding window, bit by bit, and the memory that predicting them takes."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segmentation.importing.add import add_package
from segmentation.inference.engine import Engine
from segmentation.inference.sliding_window import Window, predict_slabs
from segmentation.labels.export_prediction import predict_logits
from segmentation.package.package import load_package
from tests.support import stock_nnunet as stock
from tests.support.tiny_models import make_results_folder, make_volume

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
PEAK = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


def slabs_of(engine: Engine, data: torch.Tensor, seen: list[float], tiles_at_once: int = 1) -> Any:
    (member,) = engine.package.manifest.members
    configuration = engine.package.manifest.configuration(member)
    inference = engine.package.config.inference
    networks = engine._networks[member]
    window = Window(configuration.patch_size, inference.step_size, configuration.mirror_axes, tiles_at_once)
    return predict_slabs(networks, data, window, CPU, CPU, seen.append)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("3d_fullres", (61, 30, 27)),
        ("3d_fullres", (16, 24, 24)),
        ("3d_fullres", (9, 31, 20)),
        ("2d", (5, 50, 20)),
        ("folds", (33, 20, 41)),
    ],
    ids=["many rows", "one tile", "padded", "2d", "folds"],
)
def test_logits_equal_nnunets(kind: str, shape: tuple[int, int, int], tmp_path: Path) -> None:
    source = make_results_folder(tmp_path, kind, mirror_axes=(1,))
    data = torch.from_numpy(np.random.default_rng(0).normal(size=(1, *shape))).float()
    theirs = stock.predictor(source).predict_logits_from_preprocessed_data(data)
    engine = Engine(add_package(source, "tiny", tmp_path / "models"), "cpu")
    seen: list[float] = []
    ours = predict_logits(slabs_of(engine, data, seen), shape)
    assert torch.equal(ours, theirs)
    assert seen[-1] == 1.0
    assert all(later > earlier for earlier, later in pairwise(seen))


def test_slabs_follow_each_other_and_are_small(tmp_path: Path) -> None:
    engine = Engine(add_package(make_results_folder(tmp_path), "tiny", tmp_path / "models"), "cpu")
    slabs = [slab.shape for slab in slabs_of(engine, torch.zeros(1, 61, 30, 27), [])]
    assert [shape[0] for shape in slabs] == [4] * len(slabs)
    assert sum(shape[1] for shape in slabs) == 61
    assert max(shape[1] for shape in slabs) == 16
    assert {shape[2:] for shape in slabs} == {(30, 27)}


@pytest.mark.skipif(not RESET.exists(), reason="the kernel keeps no peak of memory that can be reset")
def test_memory_does_not_grow_with_axis_0_beyond_the_volume(tmp_path: Path) -> None:
    labels = {"background": 0, **{f"organ {value}": value for value in range(1, 60)}}
    source = make_results_folder(tmp_path, labels=labels, mirror_axes=None)
    package = add_package(source, "many", tmp_path / "models")
    model = package.folder / "model.yaml"
    model.write_text(model.read_text().replace("step_size: 0.5", "step_size: 1.0"))
    engine = Engine(load_package(package.folder), "cpu")
    peaks, sizes = [], []
    for slices in (120, 120, 2500):
        volume = make_volume(shape=(slices, 60, 60), spacing=(2.5, 1.5, 1.5))
        RESET.write_text("5")
        engine.segment(volume)
        peaks.append(int(PEAK.read_text().split("VmHWM:")[1].split()[0]) * 1024)
        sizes.append(volume.array.nbytes)
    logits = 60 * sizes[-1] / 2
    # The volume, the network's image of as many voxels, and the labels are 2.5 of it; the rest is the allocator's.
    growth, allowed = peaks[2] - peaks[1], 3.5 * (sizes[2] - sizes[1])
    assert allowed < logits / 4
    assert growth < allowed, f"{growth / 1e6:.0f} MB more for {(sizes[2] - sizes[1]) / 1e6:.0f} MB of volume"


@pytest.mark.parametrize("kind", ["3d_fullres", "2d", "folds"])
def test_tiles_that_are_seen_together_give_the_same_logits(kind: str, tmp_path: Path) -> None:
    source = make_results_folder(tmp_path, kind, mirror_axes=(1,))
    engine = Engine(add_package(source, "tiny", tmp_path / "models"), "cpu")
    data = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 20, 50, 41))).float()
    one: list[float] = []
    several: list[int] = []
    single = predict_logits(slabs_of(engine, data, one), data.shape[1:])
    for count in (3, 100):
        seen: list[float] = []
        together = predict_logits(slabs_of(engine, data, seen, tiles_at_once=count), data.shape[1:])
        assert torch.allclose(together.float(), single.float(), atol=2e-2)
        assert seen[-1] == 1.0
        several.append(len(seen))
    assert len(one) > several[0] > several[1]


def test_an_error_in_a_network_ends_the_run_with_its_own_type(tmp_path: Path) -> None:
    """nnU-Net's caller would wait for a thread that is gone."""

    class NetworkBrokeError(Exception):
        pass

    engine = Engine(add_package(make_results_folder(tmp_path), "tiny", tmp_path / "models"), "cpu")
    calls: list[int] = []

    def fail(*_: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise NetworkBrokeError

    (networks,) = engine._networks.values()
    networks[0].module.register_forward_hook(fail)
    with pytest.raises(NetworkBrokeError):
        engine.segment(make_volume())
