"""The rules by which logits become labels: the class with the largest one, or for regions a threshold on each logit.

nnU-Net decides on logits that were interpolated in double precision and rounded to half precision. Here most
decisions are made in single precision, which is safe wherever no rounding could change them; the other voxels are
marked as doubtful, and decided again from exactly nnU-Net's numbers.

References
----------
nnU-Net v2 ``utilities/label_handling/label_handling.py``: ``convert_logits_to_segmentation``.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import PackageInvalid

HALF_STEP = 2.0**-10
"""Largest distance of neighbouring half-precision numbers, relative to their size."""
HALF_LEAST = 1e-7
"""Slightly more than the distance of the smallest half-precision numbers."""
SINGLE_ERROR = 2.0**-20
"""Bound on the error of interpolating in single precision, relative to the largest of the values (23 bits, 7 steps)."""
_SLACK = 1.02


class Decision(Protocol):
    """A rule that turns the outputs of a network at one voxel into an index into ``values``."""

    values: tuple[int, ...]
    index_type: torch.dtype
    doubt: int

    def of_voxels(self, logits: torch.Tensor) -> torch.Tensor:
        """Decide at the network's own voxels.

        Parameters
        ----------
        logits
            float16 ``(output, voxel)``.

        Returns
        -------
        torch.Tensor
            Index of each voxel. Between voxels of equal index the index is the same, whatever the weights; voxels for
            which rounding could break that have ``doubt`` added.
        """

    def candidates(self, lowest: torch.Tensor, highest: torch.Tensor, size: float) -> list[int]:
        """Select the outputs that can matter in cells.

        ``lowest`` and ``highest`` are the extremes ``(output, cell)`` at the corners; ``size`` bounds the values.
        """

    def of_values(self, values: torch.Tensor, outputs: Sequence[int], size: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Decide on interpolated float32 values ``(output, …)`` of ``outputs``, and return index and doubt.

        ``values`` is changed; ``size`` bounds the values.
        """

    def exactly(self, values: NDArray[np.float16]) -> NDArray[np.int64]:
        """Decide on nnU-Net's own half-precision values ``(output, voxel)``."""


class LargestLogit:
    """The rule for classes that exclude each other: the largest logit wins, of equal ones the first."""

    def __init__(self, classes: int) -> None:
        self.values = tuple(range(classes))
        self.index_type, self.doubt = _index_type(classes)
        # A half in single precision has 13 bits to spare; the class goes there, so that one maximum finds both.
        self._bits = max(1, (classes - 1).bit_length())
        # One more bit is always set: infinity, of class 0 too, becomes not a number, which a maximum passes on.
        self._mark = 1 << self._bits
        self._noise = 4 * 2.0 ** (self._bits - 23)

    def of_voxels(self, logits: torch.Tensor) -> torch.Tensor:
        """Decide as :meth:`Decision.of_voxels`.

        Raises
        ------
        PackageInvalid
            If a logit is not a finite number.
        """
        best = torch.full(logits.shape[1:], -torch.inf, device=logits.device)
        second, value, smaller = best.clone(), torch.empty_like(best), torch.empty_like(best)
        for index, plane in enumerate(logits):
            value.copy_(plane)
            value.view(torch.int32).bitwise_or_(self._mark | index)
            torch.minimum(best, value, out=smaller)
            torch.maximum(second, smaller, out=second)
            torch.maximum(best, value, out=best)
        if bool(best.isnan().any()):
            raise PackageInvalid("the network's logits overflow half precision, in which nnU-Net adds them up")
        winner, doubtful = self._read(best, second, 0.0)
        return winner.add_(doubtful.to(self.index_type), alpha=self.doubt)

    def candidates(self, lowest: torch.Tensor, highest: torch.Tensor, size: float) -> list[int]:
        """Select the classes whose highest value reaches, in some cell, the lowest value of every other class."""
        margin = size * 4 * HALF_STEP + HALF_LEAST
        reached = (highest >= lowest.amax(0) - margin).any(1)
        return [int(index) for index in reached.nonzero().flatten()]

    def of_values(self, values: torch.Tensor, outputs: Sequence[int], size: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Decide as :meth:`Decision.of_values`."""
        best = torch.full(values.shape[1:], -torch.inf, device=values.device)
        second, smaller = best.clone(), torch.empty_like(best)
        for index, value in zip(outputs, values, strict=True):
            value.view(torch.int32).bitwise_and_(-(1 << self._bits)).bitwise_or_(index)
            torch.minimum(best, value, out=smaller)
            torch.maximum(second, smaller, out=second)
            torch.maximum(best, value, out=best)
        return self._read(best, second, size * SINGLE_ERROR)

    def exactly(self, values: NDArray[np.float16]) -> NDArray[np.int64]:
        """Decide as :meth:`Decision.exactly`."""
        winners: NDArray[np.int64] = np.argmax(values.astype(np.float32), axis=0)
        return winners

    def _read(self, best: torch.Tensor, second: torch.Tensor, error: float) -> tuple[torch.Tensor, torch.Tensor]:
        # Two values further apart than a step of half precision stay apart when they are rounded. At a cell's corners
        # this is linear in the values, so it holds between corners too if it holds at each of them.
        gap = torch.sub(best, second, out=second)
        limit = best.abs().mul_(_SLACK * (HALF_STEP + self._noise)).add_(HALF_LEAST + 2 * error)
        index = best.view(torch.int32).bitwise_and_((1 << self._bits) - 1).to(self.index_type)
        return index, gap <= limit


class RegionsInOrder:
    """The rule for regions that overlap: each is present or not, and later ones overwrite earlier ones.

    Parameters
    ----------
    regions_class_order
        The label of each output.
    """

    def __init__(self, regions_class_order: Sequence[int]) -> None:
        self.values = (0, *regions_class_order)
        self.index_type, self.doubt = _index_type(len(self.values))

    def of_voxels(self, logits: torch.Tensor) -> torch.Tensor:
        """Decide as :meth:`Decision.of_voxels`; a region's rounded value stays on its corners' side of the threshold.

        Raises
        ------
        PackageInvalid
            If a logit is not a finite number.
        """
        index = torch.zeros(logits.shape[1:], dtype=self.index_type, device=logits.device)
        threshold = region_threshold()
        for number, plane in enumerate(logits, start=1):
            if not bool(torch.isfinite(plane).all()):
                raise PackageInvalid("the network's logits overflow half precision, in which nnU-Net adds them up")
            index.masked_fill_(plane >= threshold, number)
        return index

    def candidates(self, lowest: torch.Tensor, highest: torch.Tensor, size: float) -> list[int]:
        """Select every region."""
        return list(range(len(lowest)))

    def of_values(self, values: torch.Tensor, outputs: Sequence[int], size: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Decide as :meth:`Decision.of_values`."""
        index = torch.zeros(values.shape[1:], dtype=self.index_type, device=values.device)
        doubtful = torch.zeros(values.shape[1:], dtype=torch.bool, device=values.device)
        limit = size * SINGLE_ERROR + 10 * HALF_LEAST
        for number, value in zip(outputs, values, strict=True):
            index.masked_fill_(value > 0, number + 1)
            doubtful |= value.abs() <= limit
        return index, doubtful

    def exactly(self, values: NDArray[np.float16]) -> NDArray[np.int64]:
        """Decide as :meth:`Decision.exactly`."""
        index = np.zeros(values.shape[1:], dtype=np.int64)
        for number, value in enumerate(values, start=1):
            index[value >= region_threshold()] = number
        return index


@cache
def region_threshold() -> float:
    """Find the smallest half-precision logit whose single-precision sigmoid exceeds 0.5, not the smallest above 0."""
    positive = torch.arange(1, 1024, dtype=torch.int16).view(torch.half)
    above = torch.sigmoid(positive.float()) > 0.5
    return float(positive[above][0])


def _index_type(count: int) -> tuple[torch.dtype, int]:
    return (torch.uint8, 0x80) if count < 0x80 else (torch.int16, 0x4000)


def label_type(values: Sequence[int]) -> type[np.unsignedinteger[Any]]:
    """Return the integer type in which nnU-Net keeps labels of these values."""
    return np.uint8 if max(values) < 255 else np.uint16
