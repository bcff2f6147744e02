"""The measurements of one label, and the call that makes them for all labels of a mask."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.label_map import LabelMap
from core.measurements.diameters import Diameters, largest_diameters
from core.measurements.intensity import Intensity, intensity_of
from core.measurements.uptake import Uptake, uptake_of
from core.model_config import LabelSpec
from core.units import PT_UNITS

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Structure:
    """The measurements of one label.

    Attributes
    ----------
    label
        Which one.
    volume_ml
        Its volume; ``None`` where the algorithm found no voxel, of which nothing was measured.
    is_cut_off
        Whether it touches the border of the image, so that all of its measurements are of a part.
    intensity
        Of the image's values in it; ``None`` without a voxel, or where it was not asked for.
    diameters
        On the slice of its largest area; ``None`` as above.
    uptake
        Of PET; ``None`` as above, and for other images.
    """

    label: LabelSpec
    volume_ml: float | None
    is_cut_off: bool = False
    intensity: Intensity | None = None
    diameters: Diameters | None = None
    uptake: Uptake | None = None

    @property
    def is_found(self) -> bool:
        """Return whether the algorithm found a voxel of it."""
        return self.volume_ml is not None


def measure(
    label_map: LabelMap, image: NDArray[np.float32], unit: str | None, *, intensity: bool = True, diameters: bool = True
) -> tuple[Structure, ...]:
    """Measure every label of a mask.

    Parameters
    ----------
    label_map
        The mask.
    image
        ``(slice, row, column)`` on its grid, in ``unit``; no value is resampled.
    unit
        Name of the unit (`core.units`); ``None`` where the values have none.
    intensity, diameters
        What is measured beside the volume; uptake counts to the intensity.

    Raises
    ------
    ValueError
        If the image is not on the grid of the mask.
    """
    if image.shape != label_map.geometry.shape:
        raise ValueError(f"the image of shape {image.shape} is not on the grid of shape {label_map.geometry.shape}")
    boxes = ndimage.find_objects(label_map.array)
    structures = []
    for label in label_map.labels:
        box = boxes[label.value - 1] if label.value <= len(boxes) else None
        if box is None:
            structures.append(Structure(label, None))
            continue
        inside = label_map.array[box] == label.value
        by_slice = label_map.geometry.slice_volumes_mm3[box[0]]
        structures.append(
            Structure(
                label,
                volume_ml=float(np.count_nonzero(inside, axis=(1, 2)) @ by_slice) / 1000.0,
                is_cut_off=_is_cut_off(box, label_map.geometry.shape),
                intensity=intensity_of(image[box][inside]) if intensity else None,
                diameters=largest_diameters(inside, box, label_map.geometry) if diameters else None,
                uptake=uptake_of(inside, box, image, label_map.geometry) if intensity and unit in PT_UNITS else None,
            )
        )
    return tuple(structures)


def _is_cut_off(box: Box, shape: tuple[int, int, int]) -> bool:
    return any(part.start == 0 or part.stop == size for part, size in zip(box, shape, strict=True))
