"""A made volume and mask whose sides are known, for tests of pictures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.label_map import LabelMap
from core.model_config import LabelSpec
from core.volume import Geometry, Volume

# Columns: the LPS directions of growing column, row and slice.
ACQUISITIONS = {
    "axial": np.eye(3),
    "axial, feet first": np.array([[-1, 0, 0], [0, 1, 0], [0, 0, -1]]),
    "coronal": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "sagittal": np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]]),
}


def turned(direction: NDArray[Any], degrees: float) -> NDArray[np.float64]:
    a = np.radians(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    return about_z @ about_x @ direction


def scene(direction: NDArray[Any], spacing: tuple[float, float, float] = (5.0, 1.5, 2.5)) -> tuple[Volume, LabelMap]:
    """A box of 160 x 120 x 200 mm (left, back, head) with a mark at its left, back and head side each."""
    size = np.array([160.0, 120.0, 200.0])
    along = np.abs(direction).argmax(axis=0)  # column, row, slice: which of x, y, z
    shape = tuple(int(size[along[2 - axis]] // spacing[axis]) for axis in range(3))
    origin = -direction @ ((np.array(shape)[::-1] - 1) / 2 * np.array(spacing)[::-1])
    geometry = Geometry(shape, spacing, tuple(float(v) for v in origin), direction)  # type: ignore[arg-type]  # three
    where = geometry.index_to_lps(np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1))
    x, y, z = (where @ np.linalg.inv(nearest(direction)).T)[..., :3].transpose(3, 0, 1, 2)
    labels = np.zeros(shape, np.uint8)
    middle = (np.abs(x) < 25) & (np.abs(y) < 20) & (np.abs(z) < 30)
    labels[middle] = 1
    labels[(x > 40) & (np.abs(y) < 20) & (np.abs(z) < 30)] = 2
    labels[(y > 30) & (np.abs(x) < 25) & (np.abs(z) < 30)] = 3
    labels[(z > 50) & (np.abs(x) < 25) & (np.abs(y) < 20)] = 4
    array = np.where(labels > 0, 100, -50).astype(np.float32)[None]
    array[0, 0, 0, 0] = -1000
    uids = tuple(f"1.2.{k}" for k in range(shape[0]))
    volume = Volume(array, geometry, uids, (1,) * shape[0], ("1.3",), "1.4")
    specs = [(1, "middle", (255, 0, 0)), (2, "left", (0, 255, 0)), (3, "back", (0, 0, 255)), (4, "head", (255, 255, 0))]
    return volume, LabelMap(labels, geometry, tuple(LabelSpec(value=v, name=n, colour=c) for v, n, c in specs))


def nearest(direction: NDArray[Any]) -> NDArray[np.float64]:
    """Return how far the scene is turned from the patient's axes: the marks turn with the acquisition."""
    straight = np.zeros((3, 3))
    for column, row in enumerate(np.abs(direction).argmax(axis=0)):
        straight[row, column] = np.sign(direction[row, column])
    return direction @ straight.T
