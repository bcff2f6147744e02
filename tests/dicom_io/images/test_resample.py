"""Resampling onto another series' grid, against SimpleITK's."""

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from core.volume import Geometry
from dicom_io.images.resample import resample

COS, SIN = np.cos(0.2), np.sin(0.2)
STRAIGHT = np.eye(3)
TURNED = np.array([[COS, -SIN, 0], [SIN, COS, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, COS, -SIN], [0, SIN, COS]])
FLIPPED = np.diag([-1.0, -1.0, 1.0])


def by_sitk(array: NDArray[np.float32], geometry: Geometry, grid: Geometry) -> NDArray[np.float32]:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(geometry.spacing[::-1])
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction.ravel().tolist())
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(grid.shape[::-1])
    resampler.SetOutputSpacing(grid.spacing[::-1])
    resampler.SetOutputOrigin(grid.origin)
    resampler.SetOutputDirection(grid.direction.ravel().tolist())
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetDefaultPixelValue(float(array.min()))
    result: NDArray[np.float32] = sitk.GetArrayFromImage(resampler.Execute(image))
    return result


@pytest.mark.parametrize(
    ("own", "wanted"), [(STRAIGHT, STRAIGHT), (STRAIGHT, TURNED), (TURNED, TURNED), (FLIPPED, STRAIGHT)]
)
def test_it_gives_what_simpleitk_gives(own: NDArray[np.float64], wanted: NDArray[np.float64]) -> None:
    """Grids that partly overlap, so that the rule at the edge counts: half a voxel goes on, beyond is the lowest."""
    array = (np.random.default_rng(0).normal(size=(20, 64, 60)) * 300).astype(np.float32)
    origin = (-30.0, -30.0, 0.0) if own is not FLIPPED else (30.0, 30.0, 0.0)
    geometry = Geometry((20, 64, 60), (5.0, 1.0, 1.1), origin, own)
    grid = Geometry((33, 50, 55), (2.5, 1.3, 1.2), (-33.0, -28.0, -4.0), wanted)
    expected = by_sitk(array, geometry, grid)
    assert 0.01 < (expected == array.min()).mean() < 0.9
    np.testing.assert_allclose(resample(array, geometry, grid), expected, atol=1e-3)
