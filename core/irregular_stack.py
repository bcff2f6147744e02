"""The places of parallel slices that form no regular grid: each slice's own height and in-plane offset."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_OFFSET_MM = 1e-9
"""Offsets that are nowhere larger count as none."""

_EQUAL = 1e-3
"""Relative difference at which two gaps are written as one."""
_NAMED = 5
"""As many runs of gaps are written."""


@dataclass(frozen=True, eq=False)
class IrregularStack:
    """Parallel slices of one orientation and matrix, under a tilted gantry, at uneven distances, or both.

    Attributes
    ----------
    heights
        float64 ``(slice,)``: mm along the normal, ascending, 0 for slice 0.
    offsets
        float64 ``(slice, 2)``: shift in mm of each slice against slice 0 along ``(rows, columns)``: in the direction in
        which the row index grows, and in that of the column index.

    Raises
    ------
    ValueError
        If there are fewer than two slices, heights do not ascend from 0, or the arrays do not fit each other.
    """

    heights: NDArray[np.float64]
    offsets: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check the places, and make both arrays read-only float64."""
        heights = np.array(self.heights, dtype=np.float64)
        offsets = np.array(self.offsets, dtype=np.float64)
        if heights.ndim != 1 or len(heights) < 2 or offsets.shape != (len(heights), 2):
            raise ValueError(f"heights {heights.shape} and offsets {offsets.shape} are no stack of slices")
        if heights[0] != 0 or not (np.diff(heights) > 0).all() or not np.isfinite(offsets).all():
            raise ValueError("the heights of slices must ascend from 0, and their offsets be finite")
        for name, array in (("heights", heights), ("offsets", offsets)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def gaps(self) -> NDArray[np.float64]:
        """Distances in mm of neighbouring slices along the normal, ``(slice - 1,)``."""
        return np.diff(self.heights)

    @property
    def median_gap(self) -> float:
        """The lower median of the gaps in mm: of two that differ, the smaller one is the distance of neighbours."""
        gaps = np.sort(self.gaps)
        return float(gaps[(len(gaps) - 1) // 2])

    @property
    def way_per_slice(self) -> float:
        """Mean distance in mm from slice to slice along their line, which under a tilted gantry is the table's way."""
        return float(np.hypot(self.heights[-1], np.linalg.norm(self.offsets[-1]))) / (len(self.heights) - 1)

    @property
    def is_shifted(self) -> bool:
        """True if slices are shifted against each other within their plane."""
        return bool(np.abs(self.offsets).max() > LEAST_OFFSET_MM)

    @property
    def is_even(self) -> bool:
        """True if all gaps are equal."""
        gaps = self.gaps
        return bool(gaps.max() - gaps.min() <= 1e-6 * gaps.max())

    @property
    def shares(self) -> NDArray[np.float64]:
        """The length in mm along the normal that each slice stands for: half the distance to each neighbour.

        The outermost slices reach as far outwards as inwards, so that an even stack has equal shares.
        """
        gaps = self.gaps
        inwards, outwards = np.concatenate([gaps[:1], gaps]), np.concatenate([gaps, gaps[-1:]])
        shares: NDArray[np.float64] = (inwards + outwards) / 2
        return shares

    @property
    def tilt_degrees(self) -> float:
        """The angle in degrees between the normal and the line along which slices follow each other; 0 if straight."""
        return float(np.degrees(np.arctan2(np.linalg.norm(self.offsets[-1]), self.heights[-1])))

    @property
    def distances(self) -> str:
        """The runs of equal gaps, at most five, as ``12 x 2.5 mm, 8 x 5 mm``."""
        runs: list[tuple[int, float]] = []
        for gap in (round(float(gap), 3) for gap in self.gaps):
            if runs and abs(runs[-1][1] - gap) <= _EQUAL * gap:
                runs[-1] = (runs[-1][0] + 1, runs[-1][1])
            else:
                runs.append((1, gap))
        return ", ".join(f"{count} x {gap:g} mm" for count, gap in runs[:_NAMED]) + (", ..." * (len(runs) > _NAMED))

    def __str__(self) -> str:
        """Name what is irregular, for a report."""
        tilt = [f"gantry tilt of {self.tilt_degrees:.1f} degrees"] if self.is_shifted else []
        return " and ".join([*tilt, *([] if self.is_even else [f"uneven spacing ({self.distances})"])])

    def at(self, index: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return height and offsets ``(..., 2)`` at slice indices, fractions interpolated, the end gaps continued."""
        below = np.clip(np.floor(index), 0, len(self.heights) - 2).astype(np.intp)
        part = index - below
        height = self.heights[below] + part * self.gaps[below]
        offset = self.offsets[below] + part[..., None] * np.diff(self.offsets, axis=0)[below]
        return height, offset

    def index_of(self, height: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the slice index at heights in mm: the inverse of `at`."""
        below = np.clip(np.searchsorted(self.heights, height, side="right") - 1, 0, len(self.heights) - 2)
        index: NDArray[np.float64] = below + (height - self.heights[below]) / self.gaps[below]
        return index
