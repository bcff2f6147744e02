"""The image that a run shows its networks: of an irregular stack its regular grid, cut to the field of view."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.model_config import ModelConfig, ProfileSettings
from core.volume import Volume
from segmentation.preprocessing.field_of_view import FieldOfView, Spacing3, frame
from segmentation.preprocessing.orientation import Reorientation
from segmentation.preprocessing.regular_image import fills, regular_volume


@dataclass(frozen=True, eq=False)
class ShownImage:
    """An image on a regular grid.

    Attributes
    ----------
    array
        float32 ``(channel, slice, row, column)``.
    spacing
        mm along ``(slice, row, column)``.
    field_of_view
        Its place in the volume's grid, or in the regular grid of a stack.
    acquired
        bool ``(slice, row, column)``: the voxels that were acquired; ``None`` for all.
    """

    array: NDArray[np.float32]
    spacing: Spacing3
    field_of_view: FieldOfView
    acquired: NDArray[np.bool_] | None

    def turned(self, turn: Reorientation) -> "ShownImage":
        """Turn it to a model's axis order; the arrays are views. The field of view stays the unturned one's."""
        acquired = None if self.acquired is None else turn.apply(self.acquired)
        return ShownImage(turn.apply(self.array), turn.spacing(self.spacing), self.field_of_view, acquired)


def shown_image(volume: Volume, config: ModelConfig, settings: ProfileSettings) -> ShownImage:
    """Bring a volume to a regular grid and cut it to what a run shows its networks; it is not modified."""
    if not volume.geometry.is_regular:
        volume = regular_volume(volume, fills(config))
    array, spacing, field_of_view = frame(volume.array, volume.geometry.spacing, config, settings)
    acquired = None if volume.acquired is None else _framed(volume.acquired, field_of_view)
    return ShownImage(array, spacing, field_of_view, acquired)


def _framed(acquired: NDArray[np.bool_], field_of_view: FieldOfView) -> NDArray[np.bool_]:
    """Mark the blocks of the box of which every voxel was acquired."""
    for axis, block in enumerate(field_of_view.blocks):
        if block > 1:
            acquired = np.logical_and.reduceat(acquired, np.arange(0, acquired.shape[axis], block), axis=axis)
    return acquired[field_of_view.box]
