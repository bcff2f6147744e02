"""Made logits: the worst case, and smooth ones like anatomy's."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import gaussian_filter


def random_logits(classes: int, shape: Sequence[int], seed: int = 0) -> torch.Tensor:
    """Make logits of the worst case: no two neighbours agree."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(0, 3, (classes, *shape))).half()


def anatomy_logits(classes: int, shape: Sequence[int], seed: int = 0) -> torch.Tensor:
    """Make smooth blobs: the distance of each class's field to the largest other, as a trained network gives it."""
    rng = np.random.default_rng(seed)
    fields = np.stack([gaussian_filter(rng.normal(size=shape), 2.5, mode="nearest") for _ in range(classes)])
    return torch.from_numpy(fields / fields.std() * 6 - 3).half()
