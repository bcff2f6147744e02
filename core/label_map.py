"""The mask that leaves the engine: one integer per voxel, and what each integer means."""

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
    """

    array: NDArray[np.uint8] | NDArray[np.uint16]
    geometry: Geometry
    labels: tuple[LabelSpec, ...]

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            raise ValueError(f"mask {self.array.shape} is not on the grid {self.geometry.shape}")

    def voxel_counts(self) -> dict[str, int]:
        """Number of voxels of every label, by name, zero included."""
        counts = np.zeros(max((spec.value for spec in self.labels), default=0) + 1, dtype=np.int64)
        for plane in self.array:  # bincount makes 8 bytes of every voxel it is given
            found = np.bincount(plane.ravel(), minlength=counts.size)
            counts += found[: counts.size]
        return {spec.name: int(counts[spec.value]) for spec in self.labels}

    def volumes_ml(self) -> dict[str, float]:
        """Volume of every label in millilitres, by name, rounded to 0.001."""
        ml = self.geometry.voxel_volume_mm3 / 1000.0
        return {name: round(count * ml, 3) for name, count in self.voxel_counts().items()}

    @property
    def is_empty(self) -> bool:
        """Whether no voxel belongs to any label."""
        return not bool(self.array.any())
