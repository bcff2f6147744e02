"""The comparison of a resampled image with nnU-Net's own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmentation.preprocessing.near_borders import PLATEAU


def assert_same_values(ours: NDArray[np.float32], theirs: NDArray[Any]) -> None:
    """Every value has to be equal, but for what a spline leaves of a background that is exactly 0."""
    assert ours.shape == theirs.shape
    differ = ours != theirs
    largest = np.abs(theirs).max()
    assert not differ.any() or np.abs(theirs[differ]).max() <= PLATEAU * largest, f"{differ.sum()} of {differ.size}"
    assert np.abs(ours - theirs).max() <= 1e-14 * largest
