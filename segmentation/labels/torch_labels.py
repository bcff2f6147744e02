"""Labels of models whose plans name nnU-Net's torch resampling."""

import torch

from segmentation.labels.label_handling import Decision, LargestLogit
from segmentation.preprocessing.target_grid import Shape3
from segmentation.preprocessing.torch_resampling import Arguments, resample_with_torch


def label_with_torch(
    logits: torch.Tensor, shape: Shape3, axis: int | None, arguments: Arguments, decision: Decision
) -> torch.Tensor:
    """Label float16 logits ``(output, z, y, x)`` as ``(z, y, x)``; one output at a time is at full resolution.

    These logits are not rounded to half precision after interpolation, so every voxel is decided from all outputs.

    Parameters
    ----------
    shape
        ``(z, y, x)`` of the labels.
    axis
        As :func:`segmentation.preprocessing.target_grid.separate_axis` gives it.
    arguments
        ``mode`` and ``aniso_axis_mode`` of the plans.
    decision
        The rule by which the outputs become labels.
    """
    values = torch.tensor(decision.values, dtype=torch.int32, device=logits.device)
    index = torch.zeros(shape, dtype=decision.index_type, device=logits.device)
    best: torch.Tensor | None = None
    for number, plane in enumerate(logits):
        value = resample_with_torch(plane, shape, axis, arguments).float()
        if not isinstance(decision, LargestLogit):
            index.masked_fill_(torch.sigmoid(value) > 0.5, number + 1)
        elif best is None:
            best = value.clone()
        else:
            index.masked_fill_(value > best, number)
            torch.maximum(best, value, out=best)
    return index if isinstance(decision, LargestLogit) else values[index.long()]
