"""NIfTI output against nibabel, which works in RAS."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from core.label_map import LabelMap
from core.model_config import LabelSpec
from core.volume import Geometry
from dicom_io.results.nifti import write_nifti
from tests.support.seg_cases import asymmetric_mask

OBLIQUE = np.linalg.qr([[0.9, 0.2, 0.3], [-0.3, 0.8, 0.4], [0.1, -0.5, 0.8]])[0]
SAGITTAL = np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("direction", [np.eye(3), SAGITTAL, OBLIQUE], ids=["axial", "sagittal", "oblique"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nibabel_finds_every_voxel_at_its_place(direction: Any, dtype: Any, suffix: str, tmp_path: Path) -> None:
    grid = Geometry((7, 20, 26), (5.0, 0.8, 0.7), (-12.0, 30.0, 44.0), direction)
    labels = tuple(LabelSpec(value=v, name=str(v)) for v in (1, 2, 4))
    label_map = LabelMap(asymmetric_mask(grid.shape, dtype=dtype), grid, labels)
    path = tmp_path / f"x{suffix}"
    write_nifti(path, label_map)
    image = nibabel.load(path)
    array = np.asarray(image.dataobj)
    assert array.dtype == dtype
    assert np.array_equal(array, label_map.array.transpose())
    for index in [(0, 0, 0), (6, 19, 25), (3, 2, 17)]:
        ras = image.affine @ [*index[::-1], 1]
        assert np.allclose(ras[:3] * [-1, -1, 1], grid.index_to_lps(index), atol=1e-4)
