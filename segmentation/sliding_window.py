"""nnU-Net's sliding window: tiles, Gaussian weights, mirroring, accumulation in half precision.

The arithmetic is nnU-Net's, operation by operation and rounding by rounding, so that labels come out equal on the CPU.
nnU-Net feeds tiles from a thread whose failure leaves the caller waiting for ever; here there is no thread.

References
----------
nnU-Net v2 ``inference/predict_from_raw_data.py``, ``inference/sliding_window_prediction.py``.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from core.errors import PackageInvalid

GAUSSIAN_SIGMA = 1 / 8
GAUSSIAN_SCALE = 10.0

Tile = tuple[slice | int, ...]


@torch.inference_mode()
def predict_logits(
    network: torch.nn.Module,
    data: torch.Tensor,
    patch_size: Sequence[int],
    step_size: float,
    mirror_axes: Sequence[int],
    device: torch.device,
    results_device: torch.device,
    on_tile: Callable[[float], None],
) -> torch.Tensor:
    """Logits of one network for one preprocessed image.

    Parameters
    ----------
    network
        In evaluation mode, on ``device``.
    data
        float32 ``(channel, z, y, x)``, on any device.
    patch_size
        Two values for a 2d network, which sees slice after slice.
    step_size
        Distance of neighbouring tiles as a fraction of the patch.
    mirror_axes
        Spatial axes over whose flips predictions are averaged.
    results_device
        Where image and logits are kept: ``device``, or the CPU where the GPU's memory does not hold them.
    on_tile
        Called after each tile with the fraction done.

    Returns
    -------
    torch.Tensor
        float16 ``(output, z, y, x)`` on the CPU.

    Raises
    ------
    PackageInvalid
        If the logits overflow half precision, as nnU-Net would refuse them too.
    """
    padded, inner = pad(data, patch_size)
    padded = padded.to(results_device)
    gaussian = gaussian_weights(patch_size).to(results_device)
    tiles = tile_slices(padded.shape[1:], patch_size, step_size)
    logits: torch.Tensor | None = None
    weights = torch.zeros(padded.shape[1:], dtype=torch.half, device=results_device)
    with torch.autocast(device.type, enabled=device.type == "cuda"):
        for number, tile in enumerate(tiles, start=1):
            patch = torch.clone(padded[tile][None], memory_format=torch.contiguous_format).to(device)
            prediction = _predict_mirrored(network, patch, mirror_axes)[0].to(results_device)
            if logits is None:
                shape = (prediction.shape[0], *padded.shape[1:])
                logits = torch.zeros(shape, dtype=torch.half, device=results_device)
            prediction *= gaussian
            logits[tile] += prediction
            weights[tile[1:]] += gaussian
            on_tile(number / len(tiles))
    if logits is None:
        raise ValueError(f"an image of shape {tuple(data.shape)} has no tiles")
    torch.div(logits, weights, out=logits)
    if bool(torch.isinf(logits).any()):
        raise PackageInvalid("the network's logits overflow half precision, in which nnU-Net adds them up")
    return logits[inner].cpu()


def pad(data: torch.Tensor, patch_size: Sequence[int]) -> tuple[torch.Tensor, tuple[slice, ...]]:
    """Pad with zeros to at least the patch, the image in the middle; also the slices that undo it."""
    minimum = [0] * (data.ndim - len(patch_size)) + list(patch_size)
    missing = [max(0, least - size) for least, size in zip(minimum, data.shape, strict=True)]
    before = [gap // 2 for gap in missing]
    inner = tuple(slice(start, start + size) for start, size in zip(before, data.shape, strict=True))
    if not any(missing):
        return data, (slice(None), *inner[1:])
    pairs = [(start, gap - start) for start, gap in zip(before, missing, strict=True)]
    widths = [width for pair in reversed(pairs) for width in pair]
    return torch.nn.functional.pad(data, widths, "constant", 0), (slice(None), *inner[1:])


def tile_slices(shape: Sequence[int], patch_size: Sequence[int], step_size: float) -> list[Tile]:
    """Index of every tile in a padded ``(channel, z, y, x)``, in nnU-Net's order."""
    planes: list[Tile] = [(slice(None),)]
    if len(patch_size) < len(shape):
        planes = [(slice(None), index) for index in range(shape[0])]
    steps = tile_starts(shape[len(shape) - len(patch_size) :], patch_size, step_size)
    windows = [
        tuple(slice(start, start + size) for start, size in zip(starts, patch_size, strict=True))
        for starts in itertools.product(*steps)
    ]
    return [(*plane, *window) for plane in planes for window in windows]


def tile_starts(shape: Sequence[int], patch_size: Sequence[int], step_size: float) -> list[list[int]]:
    """Where tiles start along each axis: evenly spread, at most ``step_size`` of the patch apart."""
    starts = []
    for size, patch in zip(shape, patch_size, strict=True):
        count = int(np.ceil((size - patch) / (patch * step_size))) + 1
        distance = (size - patch) / (count - 1) if count > 1 else 0.0
        starts.append([int(np.round(distance * index)) for index in range(count)])
    return starts


def gaussian_weights(patch_size: Sequence[int]) -> torch.Tensor:
    """float16 weights of a tile, largest in its centre, nowhere zero."""
    impulse = np.zeros(tuple(patch_size))
    impulse[tuple(size // 2 for size in patch_size)] = 1
    sigmas = [size * GAUSSIAN_SIGMA for size in patch_size]
    weights = gaussian_filter(impulse, sigmas, 0, mode="constant", cval=0)
    weights /= np.max(weights) / GAUSSIAN_SCALE
    half = torch.from_numpy(weights).to(torch.half)
    zero = half == 0
    half[zero] = torch.min(half[~zero])
    return half


def _predict_mirrored(network: torch.nn.Module, patch: torch.Tensor, mirror_axes: Sequence[int]) -> torch.Tensor:
    prediction: torch.Tensor = network(patch)
    axes = [axis + 2 for axis in mirror_axes]
    combinations = [c for count in range(1, len(axes) + 1) for c in itertools.combinations(axes, count)]
    for flipped in combinations:
        prediction += torch.flip(network(torch.flip(patch, flipped)), flipped)
    if combinations:
        prediction /= len(combinations) + 1
    return prediction
