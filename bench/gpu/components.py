"""Connected components of a chest's mask on the GPU, beside cc3d on the CPU; see `bench.gpu.items`.

Each voxel takes the largest number among its 26 neighbours of the mask, and then the number that the voxel of that
number has, until nothing changes. This is what a post-processing step on a GPU would have to do; the engine does not.
"""

import time
from typing import Any

import cc3d
import numpy as np
import torch
from numpy.typing import NDArray

from bench.gpu.items import Figures, Setting, Size, print_items
from bench.postprocessing import LUNG, make_chest
from segmentation.postprocessing.steps import FULL_CONNECTIVITY

ITEMS = ("components",)
SHAPES: dict[Size, tuple[int, int, int]] = {"full": (275, 512, 512), "tiny": (12, 32, 32)}


def measure(item: str, setting: Setting) -> Figures:
    """Label the components of the lungs on both, and count on how many voxels of how many components they agree."""
    mask = make_chest(SHAPES[setting.size]) == LUNG
    start = time.perf_counter()
    theirs = cc3d.connected_components(mask, connectivity=FULL_CONNECTIVITY)
    on_cpu = time.perf_counter() - start
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        ours, rounds = components(torch.from_numpy(mask).to(setting.device))
        numbers = ours.cpu().numpy()
        seconds.append(time.perf_counter() - start)
    return {
        "cpu_s": on_cpu,
        "device_s": min(seconds),
        "rounds": rounds,
        "components": int(theirs.max()),
        "same": _same_partition(theirs, numbers),
    }


@torch.inference_mode()
def components(mask: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Give the voxels of each component of a mask one number, int32, and 0 outside; return the rounds, too."""
    numbers = torch.arange(1, mask.numel() + 1, dtype=torch.int32, device=mask.device).view(mask.shape) * mask
    rounds, changed = 0, True
    while changed:
        before = numbers
        for axis in range(3):
            largest = numbers.clone()
            size = mask.shape[axis]
            for here, there in ((0, 1), (1, 0)):
                part = largest.narrow(axis, here, size - 1)
                part.copy_(torch.maximum(part, numbers.narrow(axis, there, size - 1)))
            numbers = largest
        numbers = numbers * mask
        # The number's own voxel may have moved on already: its number is the same component's.
        numbers = torch.where(mask, numbers.view(-1)[(numbers - 1).clamp(min=0).long()], numbers)
        rounds, changed = rounds + 1, not torch.equal(before, numbers)
    return numbers, rounds


def _same_partition(one: NDArray[np.integer[Any]], other: NDArray[np.integer[Any]]) -> bool:
    """Return whether two numberings join the same voxels: each pair of numbers that meets belongs to no other."""
    pairs = np.unique(np.stack([one.ravel().astype(np.int64), other.ravel().astype(np.int64)]), axis=1)
    return bool(len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1])


if __name__ == "__main__":
    print_items(measure)
