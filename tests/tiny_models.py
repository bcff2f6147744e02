"""Tiny nnU-Net v2 results folders of every kind that is supported, and volumes on which all their labels occur.

The networks are random but calibrated: the last layer's weights and biases are set so that every output wins on a good
part of normalised noise. ``make_directional`` builds one that is not random: its labels say in which direction of its
own axes the image gets brighter, which shows an image that was fed in the wrong orientation.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from core.volume import Geometry, Volume

KINDS = (
    "3d_fullres",
    "2d",
    "3d_lowres",
    "cascade",
    "folds",
    "ensemble",
    "two_channels",
    "regions",
    "ignore",
    "residual",
    "anisotropic",
    "transposed",
    "old_plans",
    "torch_resampling",
    "cropped",
    "regions_ensemble",
    "anisotropic_transposed",
)
DATASET = "Dataset901_Tiny"
PLAIN_LABELS: dict[str, Any] = {"background": 0, "liver": 1, "left kidney": 2, "tumour": 3}
REGION_LABELS: dict[str, Any] = {
    "background": 0,
    "whole tumour": [1, 2, 3],
    "tumour core": [2, 3],
    "enhancing tumour": [3],
}


@dataclass(frozen=True)
class TinyPlan:
    """What tells one tiny model from another."""

    configuration: str = "3d_fullres"
    trainer: str = "nnUNetTrainer"
    plans: str = "nnUNetPlans"
    reader: str = "SimpleITKIO"
    labels: dict[str, Any] = field(default_factory=lambda: dict(PLAIN_LABELS))
    regions_class_order: Sequence[int] | None = None
    channels: tuple[str, ...] = ("CT",)
    spacing: tuple[float, ...] = (2.5, 1.5, 1.5)
    patch_size: tuple[int, ...] = (16, 24, 24)
    transpose: tuple[int, int, int] = (0, 1, 2)
    builder: str = "PlainConvUNet"
    resampling: str = "resample_data_or_seg_to_shape"
    mask_for_norm: bool = False
    old_plans: bool = False
    mirror_axes: tuple[int, ...] | None = (0, 1, 2)
    folds: tuple[int | str, ...] = (0,)

    @property
    def folder_name(self) -> str:
        """Name of the results folder."""
        return f"{self.trainer}__{self.plans}__{self.configuration}"

    @property
    def has_regions(self) -> bool:
        """Whether labels are regions."""
        return self.regions_class_order is not None

    @property
    def outputs(self) -> int:
        """Number of the network's outputs."""
        return len(self.labels) - int("ignore" in self.labels) - int(self.has_regions)


def plan_of(kind: str) -> TinyPlan:
    """The plan of a kind; for an ensemble and a cascade, of its main member."""
    table: dict[str, dict[str, Any]] = {
        "2d": {"configuration": "2d", "patch_size": (32, 32), "spacing": (1.5, 1.5), "mirror_axes": (0, 1)},
        "3d_lowres": {"configuration": "3d_lowres", "spacing": (4.0, 2.8, 2.8), "patch_size": (8, 16, 16)},
        "cascade": {"configuration": "3d_cascade_fullres", "mirror_axes": (0, 1)},
        "folds": {"folds": (0, 1, 2), "mirror_axes": None, "trainer": "nnUNetTrainerNoMirroring"},
        "two_channels": {"channels": ("T1", "FLAIR"), "mask_for_norm": True, "mirror_axes": (2,)},
        "regions": {"labels": dict(REGION_LABELS), "regions_class_order": (1, 2, 3), "channels": ("T1",)},
        "ignore": {"labels": {**PLAIN_LABELS, "ignore": 4}},
        "residual": {"builder": "ResidualEncoderUNet", "plans": "nnUNetResEncUNetMPlans"},
        "anisotropic": {"spacing": (6.0, 1.5, 1.5), "patch_size": (8, 24, 24)},
        "transposed": {"transpose": (1, 0, 2), "spacing": (1.5, 2.5, 1.2), "patch_size": (24, 16, 24)},
        "old_plans": {"old_plans": True},
        "torch_resampling": {"resampling": "resample_torch_fornnunet"},
        "regions_ensemble": {"labels": dict(REGION_LABELS), "regions_class_order": (1, 2, 3), "channels": ("T1",)},
        "anisotropic_transposed": {"transpose": (2, 0, 1), "spacing": (1.2, 7.0, 1.5), "patch_size": (24, 8, 24)},
    }
    return TinyPlan(**table.get(kind, {}))


def make_results_folder(path: Path, kind: str = "3d_fullres", *, seed: int = 0, **changes: Any) -> Path:
    """Make what nnU-Net would leave for a kind of model below ``path``.

    Parameters
    ----------
    path
        Folder that gets the data set's folder ``Dataset901_Tiny``.
    kind
        One of ``KINDS``.
    seed
        Of the weights.
    **changes
        Fields of :class:`TinyPlan` to set otherwise.

    Returns
    -------
    Path
        What ``add_package`` takes: the results folder, or for an ensemble the data set's folder.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is none of {KINDS}")
    plan = _replace(plan_of(kind), **changes)
    dataset = path / DATASET
    if kind == "cascade":
        _write(dataset, _replace(plan_of("3d_lowres"), labels=plan.labels), seed + 100)
    if kind in ("ensemble", "regions_ensemble"):
        second = _replace(
            plan_of("2d"), labels=plan.labels, regions_class_order=plan.regions_class_order, channels=plan.channels
        )
        members = [_write(dataset, plan, seed), _write(dataset, second, seed + 1)]
        write_winner(dataset, members)
        return dataset
    return _write(dataset, plan, seed)


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
    """Smooth noise of mean 0 and standard deviation 300; ``margin`` voxels of zeros around it."""
    rng = np.random.default_rng(seed)
    array = np.stack([_noise(shape, rng) for _ in range(channels)]) * 300
    if margin:
        inner = np.zeros(shape, dtype=bool)
        inner[1:-1, margin:-margin, margin : -2 * margin] = True
        array[:, ~inner] = 0
    geometry = Geometry(shape, spacing, (-10.0, 20.0, 5.0), np.eye(3) if direction is None else direction)
    return volume_of(array.astype(np.float32), geometry)


def volume_of(array: NDArray[np.float32], geometry: Geometry) -> Volume:
    """A volume with made UIDs."""
    slices = geometry.shape[0]
    return Volume(
        array=array,
        geometry=geometry,
        sop_instance_uids=tuple(f"2.25.1000{index}" for index in range(slices)),
        frame_numbers=(1,) * slices,
        series_uids=tuple(f"2.25.20{index}" for index in range(array.shape[0])),
        frame_of_reference_uid="2.25.3",
    )


def make_directional(path: Path, reader: str = "SimpleITKIOWithReorient", spacing: float = 2.0) -> Path:
    """Make a results folder whose network knows its axes.

    Labels 1 to 6 mark voxels where the image gets brighter most steeply along +column, -column, +row, -row, +slice and
    -slice of the array that the network is given; everything flatter is background.
    """
    names = ("right", "left", "front", "back", "head", "feet")
    labels = {"background": 0, **{name: index for index, name in enumerate(names, start=1)}}
    plan = TinyPlan(reader=reader, labels=labels, mirror_axes=None, spacing=(spacing,) * 3, patch_size=(24, 24, 24))
    plan = _replace(plan, trainer="nnUNetTrainerNoMirroring")
    folder = _write(path / DATASET, plan, 0, fill=_directional_weights, features=(8, 8), convolutions=1)
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


def _replace(plan: TinyPlan, **changes: Any) -> TinyPlan:
    return TinyPlan(**{**{name: getattr(plan, name) for name in TinyPlan.__dataclass_fields__}, **changes})


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    noise = gaussian_filter(rng.standard_normal(shape), 1.5)
    return (noise - noise.mean()) / noise.std()


def _write(
    dataset: Path,
    plan: TinyPlan,
    seed: int,
    *,
    fill: Any = None,
    features: tuple[int, ...] = (6, 8, 10),
    convolutions: int = 2,
) -> Path:
    if plan.old_plans:
        features = (6, 12, 16)  # old plans can only say "doubled at each stage, up to"
    folder = dataset / plan.folder_name
    folder.mkdir(parents=True, exist_ok=True)
    dataset_json: dict[str, Any] = {
        "channel_names": {str(i): name for i, name in enumerate(plan.channels)},
        "labels": plan.labels,
        "numTraining": 4,
        "file_ending": ".nii.gz" if "Nibabel" in plan.reader else ".nrrd",
    }
    if plan.regions_class_order:
        dataset_json["regions_class_order"] = list(plan.regions_class_order)
    plans = _plans(plan, features, convolutions)
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
    """What ``nnUNetTrainer.save_checkpoint`` writes, numpy scalars of the log included."""
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


def _input_channels(plan: TinyPlan) -> int:
    previous = len(plan.labels) - 1 - int("ignore" in plan.labels) if plan.configuration == "3d_cascade_fullres" else 0
    return len(plan.channels) + previous


def _network(plan: TinyPlan, features: tuple[int, ...], convolutions: int) -> torch.nn.Module:
    architecture = _architecture(plan, features, convolutions)
    arguments = dict(architecture["arch_kwargs"])
    dimensions = len(plan.patch_size)
    for key in architecture["_kw_requires_import"]:
        arguments[key] = getattr(torch.nn, arguments[key].rpartition(".")[2]) if arguments[key] else None
    assert arguments["conv_op"] is getattr(torch.nn, f"Conv{dimensions}d")
    builder = {"PlainConvUNet": PlainConvUNet, "ResidualEncoderUNet": ResidualEncoderUNet}[plan.builder]
    network: torch.nn.Module = builder(input_channels=_input_channels(plan), num_classes=plan.outputs, **arguments)
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
        images = np.stack([_noise(plan.patch_size, rng) for _ in range(_input_channels(plan))])
        one_hot = images[len(plan.channels) :]
        one_hot[...] = one_hot == one_hot.max(axis=0, keepdims=True) if len(one_hot) else one_hot
        logits = network.eval()(torch.from_numpy(images[None]).float())[0].flatten(1)
        last = network.decoder.seg_layers[-1]
        scale = 3.0 / logits.std(dim=1)
        shift = -logits.mean(dim=1) * scale
        last.weight.mul_(scale.reshape(-1, *[1] * (last.weight.ndim - 1)))
        last.bias.mul_(scale).add_(shift)


def _architecture(plan: TinyPlan, features: tuple[int, ...], convolutions: int) -> dict[str, Any]:
    dimensions, stages = len(plan.patch_size), len(features)
    strides = [[1] * dimensions] + [[1 if size < 10 else 2 for size in plan.patch_size] for _ in range(stages - 1)]
    per_stage = "n_conv_per_stage" if plan.builder == "PlainConvUNet" else "n_blocks_per_stage"
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{plan.builder}",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(features),
            "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
            "kernel_sizes": [[3] * dimensions for _ in range(stages)],
            "strides": strides,
            per_stage: [convolutions] * stages,
            "n_conv_per_stage_decoder": [convolutions] * (stages - 1),
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def _plans(plan: TinyPlan, features: tuple[int, ...], convolutions: int) -> dict[str, Any]:
    architecture = _architecture(plan, features, convolutions)
    configuration: dict[str, Any] = {
        "data_identifier": f"{plan.plans}_{plan.configuration}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(plan.patch_size),
        "spacing": list(plan.spacing),
        "normalization_schemes": ["CTNormalization" if c == "CT" else "ZScoreNormalization" for c in plan.channels],
        "use_mask_for_norm": [plan.mask_for_norm] * len(plan.channels),
        **_resampling(plan),
        "batch_dice": True,
    }
    if plan.old_plans:
        arguments = architecture["arch_kwargs"]
        configuration |= {
            "UNet_class_name": plan.builder,
            "UNet_base_num_features": features[0],
            "unet_max_num_features": features[-1],
            "n_conv_per_stage_encoder": arguments["n_conv_per_stage"],
            "n_conv_per_stage_decoder": arguments["n_conv_per_stage_decoder"],
            "num_pool_per_axis": [len(features) - 1] * len(plan.patch_size),
            "pool_op_kernel_sizes": arguments["strides"],
            "conv_kernel_sizes": arguments["kernel_sizes"],
        }
    else:
        configuration["architecture"] = architecture
    configurations = {plan.configuration: configuration}
    if plan.configuration == "3d_cascade_fullres":
        configurations = {
            "3d_fullres": configuration,
            "3d_lowres": {"inherits_from": "3d_fullres", "next_stage": "3d_cascade_fullres"},
            "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        }
    intensities = {"mean": 0.0, "std": 300.0, "percentile_00_5": -700.0, "percentile_99_5": 750.0}
    intensities |= {"min": -1000.0, "max": 1000.0, "median": 0.0}
    return {
        "dataset_name": DATASET,
        "plans_name": plan.plans,
        "original_median_spacing_after_transp": [2.5, 1.5, 1.5],
        "original_median_shape_after_transp": [20, 40, 36],
        "image_reader_writer": plan.reader,
        "transpose_forward": list(plan.transpose),
        "transpose_backward": [plan.transpose.index(axis) for axis in range(3)],
        "configurations": configurations,
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(i): intensities for i in range(len(plan.channels))},
    }


def _resampling(plan: TinyPlan) -> dict[str, Any]:
    if plan.resampling == "resample_torch_fornnunet":
        common = {"force_separate_z": None, "memefficient_seg_resampling": False}
        kinds = {"data": {"is_seg": False, **common}, "seg": {"is_seg": True, **common}}
        kinds["probabilities"] = kinds["data"]
    else:
        common = {"order_z": 0, "force_separate_z": None}
        kinds = {"data": {"is_seg": False, "order": 3, **common}, "seg": {"is_seg": True, "order": 1, **common}}
        kinds["probabilities"] = {"is_seg": False, "order": 1, **common}
    return {
        key: value
        for purpose, arguments in kinds.items()
        for key, value in (
            (f"resampling_fn_{purpose}", plan.resampling),
            (f"resampling_fn_{purpose}_kwargs", arguments),
        )
    }
