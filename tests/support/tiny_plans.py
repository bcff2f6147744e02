"""Plans of tiny models: one dataclass, and the ``plans.json`` and ``dataset.json`` that nnU-Net would write for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

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
    "cascade_ensemble",
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
    """The parameters in which tiny models differ."""

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
    mirror_axes: tuple[int, ...] | None = (2,)
    folds: tuple[int | str, ...] = (0,)

    @property
    def folder_name(self) -> str:
        """Name of the results folder."""
        return f"{self.trainer}__{self.plans}__{self.configuration}"

    @property
    def has_regions(self) -> bool:
        """Return whether labels are regions."""
        return self.regions_class_order is not None

    @property
    def outputs(self) -> int:
        """Number of the network's outputs."""
        return len(self.labels) - int("ignore" in self.labels) - int(self.has_regions)


def plan_of(kind: str) -> TinyPlan:
    """Return the plan of a kind; for an ensemble and a cascade, that of its main member."""
    table: dict[str, dict[str, Any]] = {
        "3d_fullres": {"mirror_axes": (0, 1, 2)},
        "2d": {"configuration": "2d", "patch_size": (32, 32), "spacing": (1.5, 1.5), "mirror_axes": (0, 1)},
        "3d_lowres": {"configuration": "3d_lowres", "spacing": (4.0, 2.8, 2.8), "patch_size": (8, 16, 16)},
        "cascade": {"configuration": "3d_cascade_fullres", "mirror_axes": (0, 1)},
        "folds": {"folds": (0, 1, 2), "mirror_axes": None, "trainer": "nnUNetTrainerNoMirroring"},
        "cascade_ensemble": {"configuration": "3d_cascade_fullres"},
        "two_channels": {"channels": ("T1", "FLAIR"), "mask_for_norm": True},
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


def input_channels(plan: TinyPlan) -> int:
    """Count the inputs: images, and for a cascade one more per label."""
    previous = len(plan.labels) - 1 - int("ignore" in plan.labels) if plan.configuration == "3d_cascade_fullres" else 0
    return len(plan.channels) + previous


def architecture_of(plan: TinyPlan, features: tuple[int, ...], convolutions: int) -> dict[str, Any]:
    """Build the ``architecture`` of a configuration."""
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


def plans_json(plan: TinyPlan, features: tuple[int, ...], convolutions: int) -> dict[str, Any]:
    """Build the content of ``plans.json``."""
    architecture = architecture_of(plan, features, convolutions)
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


def dataset_json_of(plan: TinyPlan) -> dict[str, Any]:
    """Build the content of ``dataset.json``."""
    content: dict[str, Any] = {
        "channel_names": {str(i): name for i, name in enumerate(plan.channels)},
        "labels": plan.labels,
        "numTraining": 4,
        "file_ending": ".nii.gz" if "Nibabel" in plan.reader else ".nrrd",
    }
    if plan.regions_class_order:
        content["regions_class_order"] = list(plan.regions_class_order)
    return content
