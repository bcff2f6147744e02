"""The GPU memory that a configuration's training is predicted to take, by the figures that nnU-Net's planner uses."""

import json
from collections.abc import Mapping
from typing import Any

from training.folders import preprocessed_folder
from training.runs.records import RunRequest

# nnU-Net v2, default_experiment_planner.py: feature maps of so many values, at that batch size, take 8 GB to train.
_REFERENCE_GB = 8.0
_REFERENCE = {2: (85_000_000, 12), 3: (560_000_000, 2)}
_RESIDUAL_REFERENCE = {2: (135_000_000, 12), 3: (680_000_000, 2)}


def predict_gb(plans: Mapping[str, Any], configuration: str, channels: int, outputs: int) -> float:
    """Predict the GPU memory of one training.

    Parameters
    ----------
    plans
        Plans of nnU-Net.
    configuration
        One of them, such as ``3d_fullres``.
    channels, outputs
        Channels of the input, and labels with background.
    """
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    chosen = PlansManager(dict(plans)).get_configuration(configuration)
    kind, arguments = chosen.network_arch_class_name, chosen.network_arch_init_kwargs
    network = get_network_from_plans(
        kind, arguments, chosen.network_arch_init_kwargs_req_import, channels, outputs, allow_init=False
    )
    values = float(network.compute_conv_feature_map_size(chosen.patch_size))
    references = _RESIDUAL_REFERENCE if "Residual" in kind else _REFERENCE
    reference, batch = references[len(chosen.patch_size)]
    return _REFERENCE_GB * values / reference * float(chosen.batch_size) / batch


def explain_out_of_memory(request: RunRequest, error: Exception) -> str:
    """Say that a GPU had too little memory, with what the plans were predicted to take."""
    import torch

    folder = preprocessed_folder() / request.dataset
    plans = json.loads((folder / f"{request.plans}.json").read_text())
    description = json.loads((folder / "dataset.json").read_text())
    predicted = predict_gb(plans, request.configuration, len(description["channel_names"]), len(description["labels"]))
    has = f" of {torch.cuda.get_device_properties(0).total_memory / 2**30:.1f} GB" if torch.cuda.is_available() else ""
    remedy = "plan with a smaller --gpu-memory, or start it without --shared"
    first = str(error).splitlines()[0][:200]
    return f"out of GPU memory{has}; the plan was predicted to take {predicted:.1f} GB: {remedy} ({first})"
