"""The mask that leaves the engine: one integer per voxel, and the meaning of each integer."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.model_config import LabelSpec
from core.volume import Geometry


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Disjoint labels on the grid of the images.

    Attributes
    ----------
    array
        uint8 or uint16 ``(slice, row, column)``; 0 is background.
    geometry
        The grid, equal to that of the source series of channel 0.
    labels
        Meaning of each value that may occur, by ascending value.

    Raises
    ------
    ValueError
        If the array does not have the shape of the geometry.
    """

    array: NDArray[np.uint8] | NDArray[np.uint16]
    geometry: Geometry
    labels: tuple[LabelSpec, ...]

    def __post_init__(self) -> None:
        """Check that the array has the shape of the geometry."""
        if self.array.shape != self.geometry.shape:
            raise ValueError(f"the mask of shape {self.array.shape} is not on the grid of shape {self.geometry.shape}")

    def voxel_counts(self) -> dict[str, int]:
        """Count the voxels of every label, by name; a label without voxels counts 0."""
        counts = np.zeros(self._last + 1, dtype=np.int64)
        for found in self._counts_by_slice():
            counts += found
        return {spec.name: int(counts[spec.value]) for spec in self.labels}

    def volumes_ml(self) -> dict[str, float]:
        """Compute the volume of every label in millilitres, by name, rounded to 0.001 ml.

        In an irregular stack a voxel counts by its slice's share along the normal: half the distance to each neighbour.
        """
        return {name: round(ml, 3) for name, ml in self.exact_volumes_ml().items()}

    def exact_volumes_ml(self) -> dict[str, float]:
        """Compute as :meth:`volumes_ml`, without rounding."""
        if self.geometry.is_regular:
            ml = self.geometry.voxel_volume_mm3 / 1000.0
            return {name: count * ml for name, count in self.voxel_counts().items()}
        volumes = np.zeros(self._last + 1)
        for found, mm3 in zip(self._counts_by_slice(), self.geometry.slice_volumes_mm3, strict=True):
            volumes += found * mm3
        return {spec.name: float(volumes[spec.value]) / 1000.0 for spec in self.labels}

    @property
    def _last(self) -> int:
        return max((spec.value for spec in self.labels), default=0)

    def _counts_by_slice(self) -> Iterator[NDArray[np.int64]]:
        for plane in self.array:  # bincount makes 8 bytes of every voxel it is given
            yield np.bincount(plane.ravel(), minlength=self._last + 1)[: self._last + 1]

    @property
    def is_empty(self) -> bool:
        """True if no voxel belongs to any label."""
        return not bool(self.array.any())
