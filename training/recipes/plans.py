"""Small nnU-Net plans: those that the planner would write, with a network that a CPU can train.

The network uses batch instead of instance normalization: a patch that lies wholly in air or lung loses its HU when it
is normalized by itself, and a patch large enough to show both is more than a CPU trains in an hour.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STRIDES = ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))

_RESAMPLE = "resample_data_or_seg_to_shape"


@dataclass(frozen=True)
class Network:
    """The parameters of one small network.

    Attributes
    ----------
    spacing_mm, patch
        Spacing and size of its input, ``(slice, row, column)``; the patch is divisible by eight.
    batch
        Number of patches per step.
    features
        Number of channels of its four stages.
    image_spacing_mm, image_shape
        Medians over the training images, as the planner notes them.
    resampled_shape
        The median shape at the network's spacing.
    window_hu
        Lowest and highest HU that the network distinguishes; ``None`` for those of the labels. If lung and bone are
        among the labels, soft tissues lie within a tenth of their range.
    intensities
        The whole normalization, where weights are gone on from that have learned with it.
    """

    spacing_mm: tuple[float, float, float]
    patch: tuple[int, int, int]
    batch: int
    features: tuple[int, int, int, int]
    image_spacing_mm: tuple[float, float, float]
    image_shape: tuple[int, int, int]
    resampled_shape: tuple[float, float, float]
    window_hu: tuple[float, float] | None = None
    intensities: Mapping[str, float] | None = None


def small_plans(
    dataset_name: str, fingerprint: Mapping[str, Any], network: Network, channels: int = 1
) -> dict[str, Any]:
    """Build plans of nnU-Net v2 with one configuration, ``3d_fullres``.

    Parameters
    ----------
    dataset_name
        The full name, such as ``Dataset901_SegnodeDemo``.
    fingerprint
        nnU-Net's ``dataset_fingerprint.json``: the intensities of the foreground.
    network
        The network to describe.
    channels
        Number of CT images that the network sees together.

    References
    ----------
    nnU-Net v2 ``default_experiment_planner.py``.
    """
    intensities = fingerprint["foreground_intensity_properties_per_channel"]
    if network.intensities is not None:
        intensities = {channel: values | dict(network.intensities) for channel, values in intensities.items()}
    if network.window_hu is not None:
        low, high = network.window_hu
        window = {
            "percentile_00_5": low,
            "percentile_99_5": high,
            "mean": (low + high) / 2.0,
            "std": (high - low) / 4.0,
        }
        intensities = {channel: values | window for channel, values in intensities.items()}
    return {
        "dataset_name": dataset_name,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(network.image_spacing_mm),
        "original_median_shape_after_transp": list(network.image_shape),
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": _configuration(network, channels)},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": intensities,
    }


def _configuration(network: Network, channels: int) -> dict[str, Any]:
    resampling = {"order": 3, "order_z": 0, "force_separate_z": None}
    return {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": network.batch,
        "patch_size": list(network.patch),
        "median_image_size_in_voxels": list(network.resampled_shape),
        "spacing": list(network.spacing_mm),
        "normalization_schemes": ["CTNormalization"] * channels,
        "use_mask_for_norm": [False] * channels,
        "resampling_fn_data": _RESAMPLE,
        "resampling_fn_seg": _RESAMPLE,
        "resampling_fn_probabilities": _RESAMPLE,
        "resampling_fn_data_kwargs": {"is_seg": False, **resampling},
        "resampling_fn_seg_kwargs": {"is_seg": True, **resampling, "order": 1},
        "resampling_fn_probabilities_kwargs": {"is_seg": False, **resampling, "order": 1},
        "batch_dice": True,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": len(network.features),
                "features_per_stage": list(network.features),
                "conv_op": "torch.nn.modules.conv.Conv3d",
                "kernel_sizes": [[3, 3, 3]] * len(network.features),
                "strides": [list(stride) for stride in STRIDES],
                "n_conv_per_stage": [2] * len(network.features),
                "n_conv_per_stage_decoder": [2] * (len(network.features) - 1),
                "conv_bias": True,
                "norm_op": "torch.nn.modules.batchnorm.BatchNorm3d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
