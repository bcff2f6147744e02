"""The small nnU-Net plans of the demo model: what the planner would write, with a network that a CPU can train.

Batch instead of instance normalization: a patch that lies wholly in air or lung loses its HU when it is normalized
by itself, and a patch large enough to show both is more than a CPU trains in an hour.
"""

from collections.abc import Mapping
from typing import Any

SPACING_MM = (3.0, 1.5, 1.5)
PATCH = (32, 48, 48)
BATCH = 4
FEATURES = (16, 32, 64, 128)
STRIDES = ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))

_RESAMPLE = "resample_data_or_seg_to_shape"


def demo_plans(dataset_name: str, fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """Build plans of nnU-Net v2 with one configuration, ``3d_fullres``.

    Parameters
    ----------
    dataset_name
        Such as ``Dataset901_SegnodeDemo``.
    fingerprint
        nnU-Net's ``dataset_fingerprint.json``: the intensities of the foreground.

    References
    ----------
    nnU-Net v2 ``default_experiment_planner.py``.
    """
    return {
        "dataset_name": dataset_name,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [3.27, 0.98, 0.98],
        "original_median_shape_after_transp": [56, 202, 198],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": _configuration()},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": fingerprint["foreground_intensity_properties_per_channel"],
    }


def _configuration() -> dict[str, Any]:
    resampling = {"order": 3, "order_z": 0, "force_separate_z": None}
    return {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": BATCH,
        "patch_size": list(PATCH),
        "median_image_size_in_voxels": [60.0, 200.0, 240.0],
        "spacing": list(SPACING_MM),
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
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
                "n_stages": len(FEATURES),
                "features_per_stage": list(FEATURES),
                "conv_op": "torch.nn.modules.conv.Conv3d",
                "kernel_sizes": [[3, 3, 3]] * len(FEATURES),
                "strides": [list(stride) for stride in STRIDES],
                "n_conv_per_stage": [2] * len(FEATURES),
                "n_conv_per_stage_decoder": [2] * (len(FEATURES) - 1),
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
