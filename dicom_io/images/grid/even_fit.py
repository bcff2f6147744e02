"""The even grid that fits written numbers best, and the rounding that their last decimals allow.

Devices write positions with a few decimals, rounded or truncated. A grid counts as even where rounding of an even one
can have given every number that was written.
"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import numpy as np
from numpy.typing import NDArray

_STEPS = 100
"""Steps of the search for the slope; each leaves two thirds of the range."""

_ROUNDING_ERROR = 1e-9
"""Relative error of double precision that is no finding."""


def best_line(lower: NDArray[np.float64], upper: NDArray[np.float64]) -> tuple[float, float, float]:
    """Find the line over 0, 1, 2, … that stays nearest to all intervals.

    Parameters
    ----------
    lower, upper
        ``(n,)``: the ends of an interval at each place, at least two of them.

    Returns
    -------
    start, slope, distance
        The line, and how far it leaves the intervals at most; at most 0 if it meets them all.
    """
    place = np.arange(len(lower), dtype=np.float64)

    def width(slope: float) -> tuple[float, float]:
        tilted = slope * place
        return float((lower - tilted).max()), float((upper - tilted).min())

    middle = (lower + upper) / 2
    gaps = np.diff(middle)
    reach = float((upper - lower).max())
    low, high = float(gaps.min()) - reach, float(gaps.max()) + reach
    for _ in range(_STEPS):  # the width is a convex function of the slope
        left, right = low + (high - low) / 3, high - (high - low) / 3
        (a, b), (c, d) = width(left), width(right)
        if a - b < c - d:
            high = right
        else:
            low = left
    slope = (low + high) / 2
    above, below = width(slope)
    return (above + below) / 2, slope, (above - below) / 2


def rounded_line(written: NDArray[np.float64], unit: float) -> tuple[float, float] | None:
    """Find start and slope of an even grid that gives the written numbers if it is rounded or cut to ``unit``.

    Parameters
    ----------
    written
        ``(n,)``.
    unit
        Of the last decimal that was written, in the unit of the numbers.

    Returns
    -------
    tuple or None
        ``None`` where neither rounding (half a unit) nor truncation towards zero (a whole one) explains them.
    """
    slack = _ROUNDING_ERROR * (1 + float(np.abs(written).max()))
    start, slope, distance = best_line(written, written)
    if distance <= unit / 2 + slack:
        return start, slope
    start, slope, outside = best_line(
        np.where(written <= 0, written - unit, written), np.where(written >= 0, written + unit, written)
    )
    return (start, slope) if outside <= slack else None


def unit_of(texts: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Return the unit of the last decimal that is written for each coordinate, over all images.

    Parameters
    ----------
    texts
        For each image the decimal strings of its coordinates; the finest of all images counts, since some devices leave
        zeros out.

    Returns
    -------
    numpy.ndarray
        float64 ``(coordinate,)``; 0, which allows nothing, where a text is no decimal number.
    """
    if not texts or len({len(text) for text in texts}) > 1:
        return np.zeros(3)
    return np.array([min(map(_unit, column)) for column in zip(*texts, strict=True)])


def _unit(text: str) -> float:
    try:
        exponent = Decimal(text).as_tuple().exponent
    except InvalidOperation:
        return 0.0
    return float(10.0**exponent) if isinstance(exponent, int) else 0.0
