"""One mask of the labels that a composite's parts found, each in values of its own."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def overlay(merged: NDArray[np.integer[Any]], found: NDArray[np.integer[Any]], values: Mapping[int, int]) -> None:
    """Write what one part found over what is there; its background leaves what is there.

    Parameters
    ----------
    merged
        ``(z, y, x)``; changed in place.
    found
        The part's labels, of the same shape.
    values
        For each of the part's values the one to write.
    """
    table = np.zeros(max(values) + 1, dtype=merged.dtype)
    table[list(values)] = list(values.values())
    # Plane after plane: no further array of the image's size.
    for whole, own in zip(merged, found, strict=True):
        mapped = table[own]
        np.copyto(whole, mapped, where=mapped != 0)
