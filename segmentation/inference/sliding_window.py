"""nnU-Net's sliding window: tiles, Gaussian weights, mirroring, accumulation in half precision.

The arithmetic is nnU-Net's, operation by operation and rounding by rounding, so that labels come out equal on the CPU.
Tiles come in nnU-Net's order, along axis 0 last, so planes that no further tile touches are finished: they are handed
on, and the accumulator holds no more planes than a patch. nnU-Net feeds tiles from a thread whose failure leaves the
caller waiting for ever; here there is no thread.

References
----------
nnU-Net v2 ``inference/predict_from_raw_data.py``, ``inference/sliding_window_prediction.py``.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from core.errors import PackageInvalid
from segmentation.backends.tile_network import TileNetwork

GAUSSIAN_SIGMA = 1 / 8
GAUSSIAN_SCALE = 10.0

INFINITY = 0x7C00
"""Bits of infinity in half precision; a value that is not a number has larger ones."""


@dataclass(frozen=True)
class Window:
    """The layout of the tiles, and the way in which networks see them.

    Attributes
    ----------
    patch_size
        Two values for 2d networks, which see slice after slice.
    step_size
        Distance of neighbouring tiles as a fraction of the patch.
    mirror_axes
        Spatial axes over whose flips predictions are averaged.
    tiles_at_once
        Tiles that a network sees together; with more than one, logits differ in their last bits.
    """

    patch_size: Sequence[int]
    step_size: float
    mirror_axes: Sequence[int]
    tiles_at_once: int = 1


@torch.inference_mode()
def predict_slabs(
    networks: Sequence[TileNetwork],
    data: torch.Tensor,
    window: Window,
    device: torch.device,
    results_device: torch.device,
    on_tile: Callable[[float], None],
) -> Iterator[torch.Tensor]:
    """Predict the mean logits of networks for one preprocessed image, as slabs that follow each other along axis 0.

    Parameters
    ----------
    networks
        The folds, on ``device``.
    data
        float32 ``(channel, z, y, x)``, on any device.
    window
        The tiles.
    device
        Device on which the networks run.
    results_device
        Device on which image and logits are kept: ``device``, or the CPU if the GPU's memory does not hold them.
    on_tile
        Called after each tile of each network with the fraction done.

    Yields
    ------
    torch.Tensor
        float16 ``(output, planes, y, x)`` on ``results_device``, valid until the next one is asked for.

    Raises
    ------
    PackageInvalid
        If the logits overflow half precision; nnU-Net refuses them, too.
    """
    patch_size = window.patch_size
    padded, inner = pad(data, patch_size)
    padded = padded.to(results_device)
    first, last = inner[1].indices(padded.shape[1])[:2]
    starts = tile_starts(padded.shape[-len(patch_size) :], patch_size, window.step_size)
    if len(patch_size) == 2:
        starts = [list(range(padded.shape[1])), *starts]
    rows = _Rows(networks, padded, window, starts[1:], device)
    for number, (start, following) in enumerate(pairwise([*starts[0], padded.shape[1]])):
        for done in rows.add(start):
            on_tile((number + done) / len(starts[0]))
        # Rounded starts of very small patches can coincide; then nothing is finished yet.
        if following > start:
            slab = rows.finish(following - start)
            planes = slice(max(first - start, 0), max(min(last, following) - start, 0))
            if planes.start < planes.stop:
                yield slab[(slice(None), planes, *inner[2:])]


class _Rows:
    """Accumulators of the tiles that start at one place along axis 0, one for each network."""

    def __init__(
        self,
        networks: Sequence[TileNetwork],
        padded: torch.Tensor,
        window: Window,
        starts: Sequence[Sequence[int]],
        device: torch.device,
    ) -> None:
        self._networks, self._padded, self._window, self._device = networks, padded, window, device
        patch_size = window.patch_size
        self._is_2d = len(patch_size) == 2
        self._patch = (*[1] * (3 - len(patch_size)), *patch_size)
        self._gaussian = gaussian_weights(patch_size).reshape(self._patch).to(padded.device)
        self._windows = [
            tuple(slice(start, start + size) for start, size in zip(place, patch_size[-2:], strict=True))
            for place in itertools.product(*starts)
        ]
        self._weights = torch.zeros((self._patch[0], *padded.shape[2:]), dtype=torch.half, device=padded.device)
        self._sums: list[torch.Tensor] = []
        self._finished = 0

    def add(self, start: int) -> Iterator[float]:
        """Drop finished planes, and run every network on every tile of the row; yields the fraction done."""
        for held in (*self._sums, self._weights[None]):
            for plane in range(self._finished, held.shape[1]):
                held[:, plane - self._finished] = held[:, plane]
            held[:, held.shape[1] - self._finished :] = 0
        self._finished = 0
        step = self._window.tiles_at_once
        groups = [self._windows[first : first + step] for first in range(0, len(self._windows), step)]
        rows = list(itertools.product(range(len(self._networks)), groups))
        for number, (index, group) in enumerate(rows, start=1):
            planes = slice(start, start + self._patch[0])
            for window, prediction in zip(group, self._predict(index, planes, group), strict=True):
                self._add_tile(index, window, prediction)
            yield number / len(rows)

    def _predict(self, index: int, planes: slice, group: Sequence[tuple[slice, ...]]) -> Iterator[torch.Tensor]:
        """Predict the logits ``(output, z, y, x)`` of each tile of a group."""
        tiles = [self._padded[(slice(None), planes, *window)] for window in group]
        patches = torch.stack([tile[:, 0] if self._is_2d else tile for tile in tiles])
        predictions = _predict_mirrored(self._networks[index], patches.to(self._device), self._window.mirror_axes)
        del patches
        for prediction in predictions:
            yield (prediction[:, None] if self._is_2d else prediction).to(self._padded.device)

    def _add_tile(self, index: int, window: tuple[slice, ...], prediction: torch.Tensor) -> None:
        if len(self._sums) == index:
            shape = (len(prediction), *self._weights.shape)
            self._sums.append(torch.zeros(shape, dtype=torch.half, device=self._padded.device))
        prediction *= self._gaussian
        self._sums[index][(slice(None), slice(None), *window)] += prediction
        if index == 0:
            self._weights[(slice(None), *window)] += self._gaussian

    def finish(self, planes: int) -> torch.Tensor:
        """Compute the mean logits of the first planes, a view that is valid until the next row is added."""
        done, *others = self._sums
        mean = done[:, :planes].div_(self._weights[:planes])
        for other in others:
            mean.add_(other[:, :planes].div_(self._weights[:planes]))
        if others:
            mean.div_(len(self._sums))
        # One output at a time, so that no second array of their size is made.
        if any(int((output.view(torch.int16) & 0x7FFF).max()) >= INFINITY for output in mean):
            raise PackageInvalid("the network's logits overflow half precision, in which nnU-Net adds them up")
        self._finished = planes
        return mean


def pad(data: torch.Tensor, patch_size: Sequence[int]) -> tuple[torch.Tensor, tuple[slice, ...]]:
    """Pad an image with zeros to at least the patch, with the image in the middle.

    Parameters
    ----------
    data
        ``(channel, z, y, x)``.
    patch_size
        In voxels; two values for 2d networks, which leave axis 0 as it is.

    Returns
    -------
    tuple
        The padded image (the same tensor if nothing is missing), and the slices that cut the image out again.
    """
    minimum = [0] * (data.ndim - len(patch_size)) + list(patch_size)
    missing = [max(0, least - size) for least, size in zip(minimum, data.shape, strict=True)]
    before = [gap // 2 for gap in missing]
    inner = tuple(slice(start, start + size) for start, size in zip(before, data.shape, strict=True))
    if not any(missing):
        return data, (slice(None), *inner[1:])
    pairs = [(start, gap - start) for start, gap in zip(before, missing, strict=True)]
    widths = [width for pair in reversed(pairs) for width in pair]
    return torch.nn.functional.pad(data, widths, "constant", 0), (slice(None), *inner[1:])


def tile_starts(shape: Sequence[int], patch_size: Sequence[int], step_size: float) -> list[list[int]]:
    """Compute where tiles start along each axis, in voxels: evenly spread, at most ``step_size`` of the patch apart.

    ``shape`` is at least ``patch_size`` along each axis.
    """
    starts = []
    for size, patch in zip(shape, patch_size, strict=True):
        count = int(np.ceil((size - patch) / (patch * step_size))) + 1
        distance = (size - patch) / (count - 1) if count > 1 else 0.0
        starts.append([int(np.round(distance * index)) for index in range(count)])
    return starts


def gaussian_weights(patch_size: Sequence[int]) -> torch.Tensor:
    """Compute the float16 weights of a tile, of the shape ``patch_size``: largest in its centre, nowhere zero."""
    impulse = np.zeros(tuple(patch_size))
    impulse[tuple(size // 2 for size in patch_size)] = 1
    sigmas = [size * GAUSSIAN_SIGMA for size in patch_size]
    weights = gaussian_filter(impulse, sigmas, 0, mode="constant", cval=0)
    weights /= np.max(weights) / GAUSSIAN_SCALE
    half = torch.from_numpy(weights).to(torch.half)
    zero = half == 0
    half[zero] = torch.min(half[~zero])
    return half


def _predict_mirrored(network: TileNetwork, patch: torch.Tensor, mirror_axes: Sequence[int]) -> torch.Tensor:
    prediction = network(patch)
    axes = [axis + 2 for axis in mirror_axes]
    combinations = [c for count in range(1, len(axes) + 1) for c in itertools.combinations(axes, count)]
    for flipped in combinations:
        prediction += torch.flip(network(torch.flip(patch, flipped)), flipped)
    if combinations:
        prediction /= len(combinations) + 1
    return prediction
