"""Where masks lie, what is taken for the same, and what is never overwritten."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from core.errors import RequestCode, RequestRefused, RetryLater
from core.label_map import LabelMap
from core.model_manifest import LabelSpec
from core.volume import Geometry
from services.masks import MaskPlace, MaskRecord, existing_mask, key_of, place_derived, place_of, write_mask
from tests.services.cases import shared, write_image

GRID = Geometry((4, 6, 5), (3.0, 1.0, 0.9), (-10.0, 4.0, 7.0), np.eye(3))
KIDNEY = LabelSpec(value=1, name="kidney")


def a_mask(voxel: tuple[int, int, int] = (1, 2, 3)) -> LabelMap:
    array = np.zeros(GRID.shape, np.uint8)
    array[voxel] = 1
    return LabelMap(array, GRID, (KIDNEY,))


def a_record(key: str) -> MaskRecord:
    return MaskRecord(key=key, sources=("A.nii.gz",), mask_sha256="", labels=(KIDNEY,))


@pytest.fixture
def place(tmp_path: Path) -> MaskPlace:
    image = write_image(tmp_path / "0001" / "A.nii.gz", np.zeros(GRID.shape, np.int16), GRID)
    return place_of("totalseg", shared(image, tmp_path))


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
    assert place_of(task, shared(path, tmp_path)).path == tmp_path / "0001" / "mask" / f"{mask}.nii.gz"


def test_a_mask_of_a_dicom_folder_lies_beside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "0001" / "P").mkdir(parents=True)
    assert place_of("vessel", shared(tmp_path / "0001" / "P", tmp_path)).path == (
        tmp_path / "0001" / "mask" / "vessel_P.nii.gz"
    )


def test_what_was_written_is_found_again_and_another_key_is_not(place: MaskPlace) -> None:
    key = key_of("totalseg", "image", "model")
    written = write_mask(place, a_mask(), a_record(key))
    assert written.mask_sha256 == hashlib.sha256(place.path.read_bytes()).hexdigest()
    assert existing_mask(place, key, ("A.nii.gz",), force=False) == written
    assert existing_mask(place, key_of("totalseg", "image", "model 2"), ("A.nii.gz",), force=False) is None
    assert existing_mask(place, key, ("A.nii.gz",), force=True) is None
    assert sorted(path.name for path in place.folder.iterdir()) == ["total_A.json", "total_A.nii.gz"]


def test_a_reader_of_its_own_finds_the_mask_on_the_grid(place: MaskPlace) -> None:
    write_mask(place, a_mask((3, 5, 1)), a_record(key_of("x")))
    image = sitk.ReadImage(str(place.path))
    assert np.argwhere(sitk.GetArrayFromImage(image)).tolist() == [[3, 5, 1]]
    assert np.allclose(image.TransformIndexToPhysicalPoint((1, 5, 3)), GRID.index_to_lps((3, 5, 1)), atol=1e-5)


def test_a_mask_that_a_crash_parted_from_its_record_is_made_again(place: MaskPlace) -> None:
    key = key_of("totalseg")
    write_mask(place, a_mask(), a_record(key_of("earlier")))
    record = place.record_path.read_bytes()
    write_mask(place, a_mask(), a_record(key))
    place.record_path.write_bytes(record)
    assert existing_mask(place, key, ("A.nii.gz",), force=False) is None
    place.record_path.write_text("{")
    assert existing_mask(place, key, ("A.nii.gz",), force=False) is None


def refused(place: MaskPlace, key: str, source: str = "A.nii.gz", *, force: bool = False) -> str:
    with pytest.raises(RequestRefused) as caught:
        existing_mask(place, key, (source,), force=force)
    assert caught.value.code is RequestCode.MASK_IN_THE_WAY
    return caught.value.detail


def test_a_mask_that_a_person_made_is_never_overwritten(place: MaskPlace) -> None:
    write_image(place.path, a_mask().array, GRID)
    for force in (False, True):
        assert "move it away" in refused(place, key_of("x"), force=force)


def test_a_mask_that_a_person_corrected_is_given_up_by_force_alone(place: MaskPlace) -> None:
    key = key_of("x")
    write_mask(place, a_mask(), a_record(key))
    image = sitk.ReadImage(str(place.path))
    image[0, 0, 0] = 1
    sitk.WriteImage(image, str(place.path))  # its header keeps what it says
    assert "changed since" in refused(place, key)
    assert existing_mask(place, key, ("A.nii.gz",), force=True) is None


def test_a_mask_of_another_image_of_the_case_is_not_overwritten(place: MaskPlace) -> None:
    write_mask(place, a_mask(), a_record(key_of("x")))
    assert "A.nii.gz" in refused(place, key_of("y"), "image_A.nii.gz", force=True)


def test_a_link_in_the_place_of_a_mask_is_not_written_through(place: MaskPlace, tmp_path: Path) -> None:
    write_mask(place, a_mask(), a_record(key_of("x")))
    elsewhere = tmp_path / "elsewhere.nii.gz"
    place.path.rename(elsewhere)
    place.path.symlink_to(elsewhere)
    refused(place, key_of("x"))


def test_a_mask_folder_that_is_a_link_is_refused(place: MaskPlace, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    place.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RequestRefused) as caught:
        write_mask(place, a_mask(), a_record(key_of("x")))
    assert caught.value.code is RequestCode.PATH_OUTSIDE_ROOTS
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_disk_that_refuses_leaves_nothing(place: MaskPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mask(place, a_mask(), a_record(key_of("x")))
    before = {path.name: path.read_bytes() for path in place.folder.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RetryLater, match="No space left"):
        write_mask(place, a_mask((0, 0, 0)), a_record(key_of("y")))
    assert {path.name: path.read_bytes() for path in place.folder.iterdir()} == before


def test_a_derived_mask_lies_beside_the_mask(place: MaskPlace, tmp_path: Path) -> None:
    write_mask(place, a_mask(), a_record(key_of("x")))
    derived = place_derived(shared(place.path, tmp_path), "smooth")
    assert derived.path == place.folder / "total_A_smooth.nii.gz"
    assert replace(derived, source=place.source).read_record() is None
