"""The demo's plans are nnU-Net plans, its network is small, and what is exported loads without pickled objects."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from training.recipes.demo import DATASET, NETWORK
from training.recipes.evaluate import dice, picture
from training.recipes.nnunet import autocast_forward, export
from training.recipes.plans import STRIDES, small_plans

pytestmark = pytest.mark.slow

FINGERPRINT = {"foreground_intensity_properties_per_channel": {"0": {"mean": 0.0, "std": 1.0}}}


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    configuration = PlansManager(small_plans(DATASET.name, FINGERPRINT, NETWORK)).get_configuration("3d_fullres")
    network: torch.nn.Module = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        1,
        4,
        deep_supervision=False,
    )
    return network


def test_the_patch_fits_the_strides() -> None:
    assert not np.any(np.array(NETWORK.patch) % np.prod(STRIDES, axis=0))


def test_weights_are_below_eight_megabytes(network: torch.nn.Module) -> None:
    assert sum(p.numel() * 4 for p in network.parameters()) < 8_000_000


def test_autocast_gives_float32_logits(network: torch.nn.Module) -> None:
    autocast_forward(network)
    with torch.no_grad():
        logits = network(torch.zeros(1, 1, 8, 16, 16))
    assert logits.dtype == torch.float32
    assert logits.shape == (1, 4, 8, 16, 16)


def test_export_leaves_out_the_optimizer_and_every_pickled_object(tmp_path: Path) -> None:
    fold = tmp_path / "nnUNet_results" / DATASET.name / DATASET.results / "fold_0"
    fold.mkdir(parents=True)
    for name in ("dataset.json", "plans.json"):
        (fold.parent / name).write_text("{}")
    (tmp_path / "training_cases.json").write_text("{}")
    weights = {"layer": torch.ones(3)}
    state = {
        "network_weights": weights,
        "optimizer_state": {"momentum": torch.ones(3)},
        "grad_scaler_state": None,
        "logging": {"losses": [np.float64(1.0)]},
        "_best_ema": np.float32(0.5),
        "current_epoch": 3,
        "init_args": {"plans": {}, "configuration": "3d_fullres", "fold": 0, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }
    torch.save(state, fold / "checkpoint_final.pth")
    out = export(DATASET, tmp_path, tmp_path / "out")
    loaded = torch.load(out / "fold_0" / "checkpoint_final.pth", weights_only=True)
    assert loaded["optimizer_state"] is None
    assert loaded["init_args"] == {"configuration": "3d_fullres", "fold": 0}
    assert loaded["trainer_name"] == "nnUNetTrainer"
    torch.testing.assert_close(loaded["network_weights"], weights)
    assert json.loads((out / "training_cases.json").read_text()) == {}


def test_dice() -> None:
    a, b = np.array([True, True, False]), np.array([True, False, False])
    assert dice(a, b) == pytest.approx(2 / 3)
    assert np.isnan(dice(a & False, b & False))


def test_picture_has_a_row_for_each_mask() -> None:
    array = np.zeros((6, 20, 30), np.float32)
    mask = np.zeros(array.shape, np.uint8)
    mask[:, 5:10, 5:10] = 3
    image = picture(array, (5.0, 1.0, 1.0), [mask, mask])
    assert image.size == (5 * 364, 2 * 540)
