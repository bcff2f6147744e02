"""Sheared and uneven copies of real CT against their originals: each voxel of the body has to come back to its place.

Slices are shifted by whole pixels and left out whole, so that the copies hold no interpolation of their own.
"""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.volume import Volume
from dicom_io.images.volume import read_volume
from phantom.series import save_series
from segmentation.preprocessing.regular_image import regular_volume
from tests.support.series_helpers import one_study

AIR = -1000.0
SLICES = 12
"""Of the middle of the scan: the tilt is the same, and the test short."""

CUT = (slice(150, 330), slice(160, 340))
"""Rows and columns."""


@pytest.fixture(scope="module")
def images(real_data: Callable[[str], Path]) -> list[Dataset]:
    """Read neighbouring slices of a liver CT, ascending, uncompressed."""
    read = [dcmread(path) for path in sorted(real_data("crlm-ct-1006").rglob("*.dcm"))]
    ascending = sorted(read, key=lambda one: float(one.ImagePositionPatient[2]))
    middle = len(ascending) // 2
    return [_cut(one) for one in ascending[middle - SLICES // 2 : middle + SLICES // 2]]


def _cut(image: Dataset) -> Dataset:
    """Cut an image to the middle of the body, which is as good, and faster."""
    stored = np.ascontiguousarray(image.pixel_array[CUT])
    along, down = (np.array(image.ImageOrientationPatient[n : n + 3], float) for n in (0, 3))
    place = np.array(image.ImagePositionPatient, float)
    place += down * CUT[0].start * float(image.PixelSpacing[0]) + along * CUT[1].start * float(image.PixelSpacing[1])
    made = deepcopy(image)
    made.PixelData = stored.tobytes()
    made.Rows, made.Columns = stored.shape
    made.ImagePositionPatient = [f"{x:.6f}" for x in place]
    return made


def copy_of(images: list[Dataset], folder: Path, rows_a_slice: int = 0, kept: list[int] | None = None) -> Volume:
    """Write a copy, its slices shifted by whole rows each and padded with air so that nothing is lost; read it."""
    numbers = list(range(len(images))) if kept is None else kept
    pad = abs(rows_a_slice) * (len(images) - 1)
    gaps = np.diff(numbers)
    first = images[0]
    axis, pixel = np.array(first.ImageOrientationPatient[3:], float), float(first.PixelSpacing[0])
    gap = float(images[1].ImagePositionPatient[2]) - float(first.ImagePositionPatient[2])
    made = []
    for place, number in enumerate(numbers):
        image = deepcopy(images[number])
        air = round((AIR - float(image.RescaleIntercept)) / float(image.RescaleSlope))
        stored = np.pad(images[number].pixel_array, ((pad, pad), (0, 0)), constant_values=air)
        shift = rows_a_slice * number
        stored = np.roll(stored, -shift, axis=0)
        image.Rows, image.PixelData = len(stored), stored.tobytes()
        position = np.array(image.ImagePositionPatient, float) + axis * pixel * (shift - pad)
        image.ImagePositionPatient = [f"{x:.6f}" for x in position]
        image.InstanceNumber = place + 1
        image.SliceThickness = f"{gap * gaps[max(0, place - 1)]:g}"
        made.append(image)
    save_series(made, folder)
    (series,) = one_study(folder).series
    return read_volume(series, geometry="any")


def at_points_of(original: Volume, copy: Volume) -> NDArray[np.float32]:
    """Return the copy's regular image at the voxels of the original, which have to be voxels of both."""
    grid = copy.geometry
    index = grid.lps_to_index(original.geometry.index_to_lps(np.moveaxis(np.indices(original.geometry.shape), 0, -1)))
    whole = np.round(index).astype(int)
    assert np.abs(index - whole).max() < 1e-3
    return copy.array[0][tuple(np.moveaxis(whole, -1, 0))]


@pytest.mark.parametrize("rows_a_slice", [-3, 2])
def test_a_sheared_copy_is_brought_back_to_its_original(
    images: list[Dataset], rows_a_slice: int, tmp_path: Path
) -> None:
    straight = copy_of(images, tmp_path / "straight")
    assert straight.geometry.is_regular
    sheared = copy_of(images, tmp_path / "sheared", rows_a_slice)
    assert sheared.geometry.stack is not None
    assert sheared.geometry.stack.is_shifted
    assert sheared.geometry.stack.is_even
    back = regular_volume(sheared, (AIR,))
    found = at_points_of(straight, back)
    assert np.abs(found - straight.array[0]).max() < 0.5  # HU; rounding of a position moves a spline by so much
    assert back.acquired is not None


@pytest.mark.parametrize("rows_a_slice", [0, -3])
def test_an_uneven_copy_keeps_its_slices_and_fills_in_between(
    images: list[Dataset], rows_a_slice: int, tmp_path: Path
) -> None:
    """Every second slice of the upper half is left out, and stated as thick, as a change of protocol would."""
    straight = copy_of(images, tmp_path / "straight")
    uneven = copy_of(images, tmp_path / "uneven", rows_a_slice, kept=[0, 1, 2, 3, 4, 5, 7, 9, 11])
    assert uneven.geometry.stack is not None
    assert not uneven.geometry.stack.is_even
    found = at_points_of(straight, regular_volume(uneven, (AIR,)))
    kept = [0, 1, 2, 3, 4, 5, 7, 9, 11]
    assert np.abs(found[kept] - straight.array[0][kept]).max() < 0.5
    between = np.abs(found[[6, 8, 10]] - straight.array[0][[6, 8, 10]])
    neighbours = np.abs(straight.array[0][[5, 7, 9]] - straight.array[0][[6, 8, 10]])
    assert between.mean() < neighbours.mean()  # nearer than the nearest slice would be
