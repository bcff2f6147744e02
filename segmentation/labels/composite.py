"""One mask made of the labels that a composite's parts found, each part in values of its own."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def overlay(merged: NDArray[np.integer[Any]], found: NDArray[np.integer[Any]], values: Mapping[int, int]) -> None:
    """Write the labels of one part over those in ``merged``; the background of the part changes nothing.

    Parameters
    ----------
    merged
        ``(z, y, x)``; changed in place.
    found
        The part's labels, of the same shape.
    values
        The value to write for each of the part's values.
    """
    table = np.zeros(max(values) + 1, dtype=merged.dtype)
    table[list(values)] = list(values.values())
    # Plane after plane: no further array of the image's size.
    for whole, own in zip(merged, found, strict=True):
        mapped = table[own]
        np.copyto(whole, mapped, where=mapped != 0)
