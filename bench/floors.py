"""The least work of each stage: bytes that must move, products that must be made, and the seconds that they take.

Seconds are the larger of bytes and products, at the rates that ``bench.machine`` measures for copying and for matrix
products on the same machine.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from segmentation.inference.sliding_window import tile_starts
from segmentation.package.network import build_network
from segmentation.package.network_spec import Configuration
from segmentation.preprocessing.interpolation import axis_matrix
from segmentation.preprocessing.resampling import NEGLIGIBLE

LERPS = 7
"""Number of products of a trilinear interpolation."""


@dataclass(frozen=True)
class Work:
    """Work in gigabytes that are read or written, and in 1e9 operations (a product and a sum are two)."""

    gbytes: float
    gflop: float

    def seconds(self, machine: dict[str, Any], precision: str) -> float:
        """Compute the seconds below which no program on this machine can be."""
        return float(max(self.gbytes / machine["moved_gb_per_s"], self.gflop / machine[f"{precision}_gflop_per_s"]))


def floors_of(
    shape: Sequence[int],
    grid: Sequence[int],
    classes: int,
    boundary_share: float,
    configuration: Configuration,
    step: float,
) -> dict[str, Work]:
    """Compute the floors of a case of one channel whose axes are all resampled together.

    Parameters
    ----------
    shape, grid
        ``(z, y, x)`` of the image and of the network.
    boundary_share
        Fraction of cells whose corners disagree.
    """
    image, seen = prod(shape), prod(grid)
    return {
        "read": Work(image * (2 + 4) / 1e9, 0.0),
        "preprocess": Work((image + seen) * 4 / 1e9, _resampling_gflop(shape, grid)),
        "network": Work(seen * (4 + 2 * classes) / 1e9, _network_gflop(grid, configuration, step)),
        "labels": Work((seen * 2 * classes + image) / 1e9, boundary_share * image * classes * LERPS * 2 / 1e9),
    }


def packing_seconds(labels: NDArray[np.integer[Any]]) -> float:
    """Measure the seconds of ``numpy.packbits`` for the frames of a BINARY object whose masks exist already."""
    seconds = 0.0
    for plane in labels:
        for value in np.flatnonzero(np.bincount(plane.ravel()))[1:]:
            mask = plane == value
            start = time.perf_counter()
            np.packbits(mask, bitorder="little").tobytes()
            seconds += time.perf_counter() - start
    return seconds


def _resampling_gflop(shape: Sequence[int], grid: Sequence[int]) -> float:
    """Count the 1e9 operations of the three matrix products, last axis first; negligible weights do not count."""
    z, y = shape[:2]
    new_y, new_x = grid[1:]
    weights = [
        0 if old == new else int((np.abs(axis_matrix(old, new, 3)) > NEGLIGIBLE).sum())
        for old, new in zip(shape, grid, strict=True)
    ]
    return 2 * (weights[2] * z * y + weights[1] * z * new_x + weights[0] * new_y * new_x) / 1e9


def _network_gflop(grid: Sequence[int], configuration: Configuration, step: float) -> float:
    patch = configuration.patch_size
    padded = [max(size, least) for size, least in zip(grid, patch, strict=True)]
    tiles = prod(len(starts) for starts in tile_starts(padded, patch, step))
    network = build_network(configuration.network, "meta")
    tile = torch.empty((1, configuration.network.input_channels, *patch), device="meta")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(tile)
    return float(tiles * counter.get_total_flops() / 1e9)
