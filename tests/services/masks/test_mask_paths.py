"""Places and names of masks."""

from pathlib import Path

import numpy as np
import pytest

from services.masks.mask_paths import place_derived, place_of
from tests.services.masks.test_mask_folder import GRID
from tests.support.service_cases import shared, write_image


@pytest.mark.parametrize(
    ("image", "task", "mask"),
    [
        ("A.nii.gz", "totalseg", "total_A"),
        ("image_A.nii.gz", "totalseg", "total_A"),
        ("image.nii.gz", "totalseg", "total"),
        ("ct 7.nii", "tumor", "tumor_7"),
        ("phase-D.nii", "ureter", "ureter_D"),
    ],
)
def test_a_mask_lies_beside_its_image(image: str, task: str, mask: str, tmp_path: Path) -> None:
    path = write_image(tmp_path / "0001" / image, np.zeros(GRID.shape, np.int16), GRID)
    place = place_of(task, shared(path, tmp_path))
    assert place.path == tmp_path / "0001" / "mask" / f"{mask}.nii.gz"
    assert place.common_name == f"cases:0001/mask/{mask}.nii.gz"


def test_a_mask_of_a_dicom_folder_lies_beside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "0001" / "P").mkdir(parents=True)
    assert place_of("vessel", shared(tmp_path / "0001" / "P", tmp_path)).path == (
        tmp_path / "0001" / "mask" / "vessel_P.nii.gz"
    )


@pytest.mark.parametrize(
    ("mask", "derived"),
    [
        ("0001/mask/total_A.nii.gz", "0001/mask/total_A_smooth.nii.gz"),
        ("0001/mine.nii.gz", "0001/mask/mine_smooth.nii.gz"),
        ("mask/of/mine.nii.gz", "mask/of/mask/mine_smooth.nii.gz"),
        ("mine.nii.gz", "mask/mine_smooth.nii.gz"),
    ],
)
@pytest.mark.parametrize("root", ["cases", "mask"])
def test_a_derived_mask_lies_in_the_case_s_mask_folder(mask: str, derived: str, root: str, tmp_path: Path) -> None:
    path = write_image(tmp_path / root / mask, np.zeros(GRID.shape, np.uint8), GRID)
    place = place_derived(shared(path, tmp_path / root), "smooth")
    assert place.path == tmp_path / root / derived
    assert place.path.is_relative_to(tmp_path / root)
    assert place.name_in_case(place.source) == mask.removeprefix("0001/").removeprefix("mask/of/")
