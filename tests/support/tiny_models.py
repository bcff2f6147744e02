"""Tiny nnU-Net v2 results folders of every kind that is supported, and volumes on which all their labels occur.

The networks are random but calibrated: the last layer's weights and biases are set so that every output wins on a good
part of normalised noise. ``make_directional`` builds one that is not random: its labels say in which direction of its
own axes the image gets brighter, which shows an image that was fed in the wrong orientation.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from core.volume import Geometry, Volume
from tests.support.tiny_plans import (
    DATASET,
    KINDS,
    TinyPlan,
    architecture_of,
    dataset_json_of,
    input_channels,
    plan_of,
    plans_json,
)

__all__ = [
    "DATASET",
    "KINDS",
    "make_directional",
    "make_results_folder",
    "make_volume",
    "volume_for",
    "volume_of",
    "write_results_folder",
    "write_winner",
]


def make_results_folder(path: Path, kind: str = "3d_fullres", *, seed: int = 0, **changes: Any) -> Path:
    """Make what nnU-Net would leave for a kind of model below ``path``.

    Parameters
    ----------
    path
        Folder that gets the data set's folder ``Dataset901_Tiny``.
    kind
        One of ``KINDS``.
    seed
        Seed of the weights.
    **changes
        Fields of :class:`TinyPlan` with other values.

    Returns
    -------
    Path
        The source for ``add_package``: the results folder, or for an ensemble the data set's folder.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is none of {KINDS}")
    plan = replace(plan_of(kind), **changes)
    dataset = path / DATASET
    if kind in ("cascade", "cascade_ensemble"):
        write_results_folder(dataset, replace(plan_of("3d_lowres"), labels=plan.labels), seed + 100)
    if kind.endswith("ensemble"):
        second = replace(
            plan_of("2d"), labels=plan.labels, regions_class_order=plan.regions_class_order, channels=plan.channels
        )
        members = [write_results_folder(dataset, plan, seed), write_results_folder(dataset, second, seed + 1)]
        write_winner(dataset, members)
        return dataset
    return write_results_folder(dataset, plan, seed)


def write_winner(dataset: Path, members: Sequence[Path]) -> None:
    """Write ``inference_information.json`` as ``nnUNetv2_find_best_configuration`` does, as far as it is read."""
    chosen = [
        dict(zip(("trainer", "plans_identifier", "configuration"), m.name.split("__"), strict=True)) for m in members
    ]
    content = {"best_model_or_ensemble": {"selected_model_or_models": chosen}}
    (dataset / "inference_information.json").write_text(json.dumps(content, indent=1))


def make_volume(
    *,
    channels: int = 1,
    shape: tuple[int, int, int] = (20, 40, 36),
    spacing: tuple[float, float, float] = (3.0, 1.3, 1.2),
    direction: NDArray[np.float64] | None = None,
    seed: int = 7,
    margin: int = 0,
) -> Volume:
    """Make smooth noise of mean 0 and standard deviation 300, with ``margin`` voxels of zeros around it."""
    rng = np.random.default_rng(seed)
    array = np.stack([_noise(shape, rng) for _ in range(channels)]) * 300
    if margin:
        inner = np.zeros(shape, dtype=bool)
        inner[1:-1, margin:-margin, margin : -2 * margin] = True
        array[:, ~inner] = 0
    geometry = Geometry(shape, spacing, (-10.0, 20.0, 5.0), np.eye(3) if direction is None else direction)
    return volume_of(array.astype(np.float32), geometry)


def volume_for(kind: str, rows: int = 40) -> Volume:
    """Make a volume that suits the kind: two channels, or zeros around, so that crop and mask have an effect."""
    channels = 2 if kind == "two_channels" else 1
    margin = 4 if kind in ("cropped", "two_channels", "regions_ensemble") else 0
    return make_volume(channels=channels, shape=(20, rows, 36), margin=margin)


def volume_of(array: NDArray[np.float32], geometry: Geometry) -> Volume:
    """Make a volume with made UIDs."""
    slices = geometry.shape[0]
    return Volume(
        array=array,
        geometry=geometry,
        sop_instance_uids=tuple(f"2.25.1000{index}" for index in range(slices)),
        frame_numbers=(1,) * slices,
        series_uids=tuple(f"2.25.20{index}" for index in range(array.shape[0])),
        frame_of_reference_uid="2.25.3",
    )


def make_directional(
    path: Path,
    reader: str = "SimpleITKIOWithReorient",
    spacing: float = 2.0,
    *,
    dataset: str = DATASET,
    labels: dict[str, int] | None = None,
) -> Path:
    """Make a results folder whose network knows its axes.

    Labels 1 to 6 mark voxels where the image gets brighter most steeply along +column, -column, +row, -row, +slice and
    -slice of the array that the network is given; everything flatter is background. Further ``labels`` never occur.
    """
    names = ("right", "left", "front", "back", "head", "feet")
    labels = labels or {"background": 0, **{name: index for index, name in enumerate(names, start=1)}}
    plan = TinyPlan(reader=reader, labels=labels, mirror_axes=None, spacing=(spacing,) * 3, patch_size=(24, 24, 24))
    plan = replace(plan, trainer="nnUNetTrainerNoMirroring")
    folder = write_results_folder(path / dataset, plan, 0, fill=_directional_weights, features=(8, 8), convolutions=1)
    plans = json.loads((folder / "plans.json").read_text())
    plans["configurations"]["3d_fullres"]["normalization_schemes"] = ["NoNormalization"]
    (folder / "plans.json").write_text(json.dumps(plans, indent=1))
    return folder


def _directional_weights(network: torch.nn.Module, _: TinyPlan, __: int) -> None:
    state = network.state_dict()
    for name, parameter in network.named_parameters():  # not the state dict, whose further names would undo it
        parameter.data.fill_(float(name.endswith("norm.weight")))
    first = state["encoder.stages.0.0.convs.0.conv.weight"]
    for output, (axis, sign) in enumerate([(2, 1), (2, -1), (1, 1), (1, -1), (0, 1), (0, -1)]):
        for offset, side in ((0, -1), (2, 1)):
            index = [1, 1, 1]
            index[axis] = offset
            first[(output, 0, *index)] = sign * side
    merged = state["decoder.stages.0.convs.0.conv.weight"]
    for feature in range(6):
        merged[feature, 8 + feature, 1, 1, 1] = 1.0
        state["decoder.seg_layers.0.weight"][1 + feature, feature] = 1.0
    state["decoder.seg_layers.0.bias"][0] = 1.0
    network.load_state_dict(state)


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    noise = gaussian_filter(rng.standard_normal(shape), 1.5)
    return (noise - noise.mean()) / noise.std()


def write_results_folder(
    dataset: Path,
    plan: TinyPlan,
    seed: int,
    *,
    fill: Any = None,
    features: tuple[int, ...] = (6, 8, 10),
    convolutions: int = 2,
) -> Path:
    """Write the results folder of one configuration below a data set's, its networks of a given size.

    Parameters
    ----------
    fill
        Sets a network's weights, from ``(network, plan, seed)``; random and calibrated unless given.
    features
        Of each stage of the encoder, with as many convolutions each.
    """
    if plan.old_plans:
        features = (6, 12, 16)  # old plans can only say "doubled at each stage, up to"
    folder = dataset / plan.folder_name
    folder.mkdir(parents=True, exist_ok=True)
    dataset_json = dataset_json_of(plan)
    plans = plans_json(plan, features, convolutions)
    # Tabs and key order of no importance, so that "byte for byte" means something in the tests.
    (folder / "dataset.json").write_text(json.dumps(dataset_json, indent="\t"))
    (folder / "plans.json").write_text(json.dumps(plans, indent=4))
    for offset, fold in enumerate(plan.folds):
        network = _network(plan, features, convolutions)
        (fill or _calibrated_weights)(network, plan, seed + offset)
        (folder / f"fold_{fold}").mkdir(exist_ok=True)
        torch.save(
            _checkpoint(network, plan, plans, dataset_json, fold), folder / f"fold_{fold}" / "checkpoint_final.pth"
        )
    return folder


def _checkpoint(network: torch.nn.Module, plan: TinyPlan, plans: Any, dataset: Any, fold: int | str) -> dict[str, Any]:
    """Build the content that ``nnUNetTrainer.save_checkpoint`` writes, numpy scalars of the log included."""
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.99, nesterov=True)
    return {
        "network_weights": network.state_dict(),
        "optimizer_state": optimizer.state_dict(),
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5)], "train_losses": [np.float32(-0.3)], "lrs": [0.01]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 1000,
        "init_args": {
            "plans": plans,
            "configuration": plan.configuration,
            "fold": fold,
            "dataset_json": dataset,
            "device": torch.device("cuda"),
        },
        "trainer_name": plan.trainer,
        "inference_allowed_mirroring_axes": plan.mirror_axes,
    }


def _network(plan: TinyPlan, features: tuple[int, ...], convolutions: int) -> torch.nn.Module:
    architecture = architecture_of(plan, features, convolutions)
    arguments = dict(architecture["arch_kwargs"])
    dimensions = len(plan.patch_size)
    for key in architecture["_kw_requires_import"]:
        arguments[key] = getattr(torch.nn, arguments[key].rpartition(".")[2]) if arguments[key] else None
    assert arguments["conv_op"] is getattr(torch.nn, f"Conv{dimensions}d")
    builder = {"PlainConvUNet": PlainConvUNet, "ResidualEncoderUNet": ResidualEncoderUNet}[plan.builder]
    network: torch.nn.Module = builder(input_channels=input_channels(plan), num_classes=plan.outputs, **arguments)
    return network


def _calibrated_weights(network: torch.nn.Module, plan: TinyPlan, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(noise * (2 / parameter[0].numel()) ** 0.5)
            else:
                parameter.copy_(noise * 0.1 + float(name.endswith("norm.weight")))
        rng = np.random.default_rng(seed)
        images = np.stack([_noise(plan.patch_size, rng) for _ in range(input_channels(plan))])
        one_hot = images[len(plan.channels) :]
        one_hot[...] = one_hot == one_hot.max(axis=0, keepdims=True) if len(one_hot) else one_hot
        logits = network.eval()(torch.from_numpy(images[None]).float())[0].flatten(1)
        last = network.decoder.seg_layers[-1]
        scale = 3.0 / logits.std(dim=1)
        shift = -logits.mean(dim=1) * scale
        last.weight.mul_(scale.reshape(-1, *[1] * (last.weight.ndim - 1)))
        last.bias.mul_(scale).add_(shift)
