"""Masks that are reused, files that are never overwritten, and folders that are never written to."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from core.errors import RequestCode, RequestRefused, RetryLater
from core.label_map import LabelMap
from core.model_config import LabelSpec
from core.volume import Geometry
from services.masks.mask_folder import MaskFolder
from services.masks.mask_paths import MaskPlace, MaskRecord, key_of, place_of, read_record
from tests.support.service_cases import shared, write_image

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


def write(place: MaskPlace, mask: LabelMap, key: str, seg: bytes | None = None) -> MaskRecord:
    with MaskFolder(place) as folder:
        return folder.write(mask, a_record(key), seg)


def existing(place: MaskPlace, key: str, source: str = "A.nii.gz", **options: bool) -> MaskRecord | None:
    with MaskFolder(place) as folder:
        return folder.existing(key, (source,), **{"force": False, **options})


def refused(place: MaskPlace, key: str, source: str = "A.nii.gz", **options: bool) -> str:
    with pytest.raises(RequestRefused) as caught:
        existing(place, key, source, **options)
    assert caught.value.code is RequestCode.MASK_IN_THE_WAY
    return caught.value.detail


def test_written_mask_is_found_again_and_another_key_is_not(place: MaskPlace) -> None:
    key = key_of("totalseg", "image", "model")
    written = write(place, a_mask(), key)
    assert written.mask_sha256 == hashlib.sha256(place.path.read_bytes()).hexdigest()
    assert existing(place, key) == written
    assert existing(place, key_of("totalseg", "image", "model 2")) is None
    assert existing(place, key, force=True) is None
    assert sorted(path.name for path in place.folder.iterdir()) == ["total_A.json", "total_A.nii.gz"]


def test_a_reader_of_its_own_finds_the_mask_on_the_grid(place: MaskPlace) -> None:
    write(place, a_mask((3, 5, 1)), key_of("x"))
    image = sitk.ReadImage(str(place.path))
    assert np.argwhere(sitk.GetArrayFromImage(image)).tolist() == [[3, 5, 1]]
    assert np.allclose(image.TransformIndexToPhysicalPoint((1, 5, 3)), GRID.index_to_lps((3, 5, 1)), atol=1e-5)


def test_a_mask_that_a_crash_parted_from_its_record_is_made_again(place: MaskPlace) -> None:
    key = key_of("totalseg")
    write(place, a_mask(), key_of("earlier"))
    record = place.record_path.read_bytes()
    write(place, a_mask(), key)
    place.record_path.write_bytes(record)
    assert existing(place, key) is None
    place.record_path.write_text("{")
    assert existing(place, key) is None


def test_a_mask_that_a_person_made_is_never_overwritten(place: MaskPlace) -> None:
    write_image(place.path, a_mask().array, GRID)
    for force in (False, True):
        assert "move it to another folder" in refused(place, key_of("x"), force=force)


def test_a_mask_that_a_person_corrected_is_given_up_by_force_alone(place: MaskPlace) -> None:
    key = key_of("x")
    write(place, a_mask(), key)
    image = sitk.ReadImage(str(place.path))
    image[0, 0, 0] = 1
    sitk.WriteImage(image, str(place.path))  # its header keeps what it says
    assert "changed since" in refused(place, key)
    assert existing(place, key, force=True) is None


def test_a_mask_of_another_image_of_the_case_is_not_overwritten(place: MaskPlace) -> None:
    write(place, a_mask(), key_of("x"))
    assert "A.nii.gz" in refused(place, key_of("y"), "image_A.nii.gz", force=True)


def test_a_file_of_another_program_in_the_place_of_the_record_is_not_overwritten(place: MaskPlace) -> None:
    place.folder.mkdir()
    place.record_path.write_text('{"SeriesDescription": "a sidecar"}')
    assert "total_A.json was not made" in refused(place, key_of("x"), force=True)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_object_in_the_place_of_a_mask_file_is_neither_read_nor_written_through(
    kind: str, place: MaskPlace, tmp_path: Path
) -> None:
    key, elsewhere = key_of("x"), tmp_path / "elsewhere.nii.gz"
    write(place, a_mask(), key)
    place.path.rename(elsewhere)
    {
        "link": lambda: place.path.symlink_to(elsewhere),
        "pipe": lambda: os.mkfifo(place.path),  # to read one waits for ever
        "folder": place.path.mkdir,
    }[kind]()
    refused(place, key)


@pytest.mark.parametrize("kind", ["link", "pipe", "large"])
def test_a_record_that_is_no_small_file_says_nothing(kind: str, place: MaskPlace, tmp_path: Path) -> None:
    key, elsewhere = key_of("x"), tmp_path / "elsewhere.json"
    write(place, a_mask(), key)
    place.record_path.rename(elsewhere)
    if kind == "link":
        place.record_path.symlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(place.record_path)
    else:
        place.record_path.write_bytes(elsewhere.read_bytes() + b" " * (1 << 20))
    assert existing(place, key) is None
    assert kind == "link" or read_record(shared(place.path, tmp_path)) is None


def test_a_mask_folder_that_is_a_link_is_refused_before_there_is_work(place: MaskPlace, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    place.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RequestRefused) as caught:
        MaskFolder(place)
    assert caught.value.code is RequestCode.PATH_OUTSIDE_ROOTS
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_case_that_became_a_link_is_not_written_into(place: MaskPlace, tmp_path: Path) -> None:
    root, outside = tmp_path / "0001", tmp_path.with_name(f"{tmp_path.name}_outside")
    root.rename(outside)
    root.symlink_to(outside)
    with pytest.raises(RequestRefused) as caught:
        MaskFolder(place)
    assert caught.value.code is RequestCode.PATH_OUTSIDE_ROOTS
    assert not (outside / "mask").exists()


def test_a_mask_folder_that_is_swapped_for_a_link_while_there_is_work_is_not_followed(
    place: MaskPlace, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    with MaskFolder(place) as folder:
        place.folder.rename(place.case / "moved")
        place.folder.symlink_to(tmp_path / "elsewhere")
        folder.write(a_mask(), a_record(key_of("x")))
    assert not list((tmp_path / "elsewhere").iterdir())
    assert (place.case / "moved" / place.path.name).exists()


def test_a_mask_folder_that_is_removed_while_there_is_work_is_told(place: MaskPlace) -> None:
    with MaskFolder(place) as folder:
        place.folder.rmdir()
        with pytest.raises(RetryLater, match="cannot be written"):
            folder.write(a_mask(), a_record(key_of("x")))


def test_a_name_that_is_too_long_for_a_mask_is_refused_before_there_is_work(tmp_path: Path) -> None:
    image = write_image(tmp_path / f"{'x' * 245}.nii.gz", np.zeros(GRID.shape, np.int16), GRID)
    with pytest.raises(RequestRefused, match="rename the image"):
        MaskFolder(place_of("totalseg", shared(image, tmp_path)))


def test_a_disk_that_refuses_leaves_nothing(place: MaskPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    write(place, a_mask(), key_of("x"))
    before = {path.name: path.read_bytes() for path in place.folder.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RetryLater, match="No space left"):
        write(place, a_mask((0, 0, 0)), key_of("y"))
    assert {path.name: path.read_bytes() for path in place.folder.iterdir()} == before


class TestSeg:
    """The DICOM SEG beside a mask."""

    key = key_of("x")

    def test_one_that_was_made_is_found_with_its_mask(self, place: MaskPlace) -> None:
        written = write(place, a_mask(), self.key, b"seg")
        assert existing(place, self.key, with_seg=True) == written
        assert existing(place, self.key) == written

    def test_a_mask_without_one_is_made_again_where_one_is_asked_for(self, place: MaskPlace) -> None:
        write(place, a_mask(), self.key)
        assert existing(place, self.key, with_seg=True) is None

    def test_that_of_an_earlier_mask_is_not_taken_for_this_one_s(self, place: MaskPlace) -> None:
        write(place, a_mask(), self.key, b"seg")
        write(place, a_mask((0, 0, 0)), key_of("y"))
        assert not place.seg_path.exists()
        found = existing(place, key_of("y"))
        assert found is not None
        assert not found.seg_sha256

    @pytest.mark.parametrize("has_mask", [False, True])
    def test_one_of_another_program_is_never_overwritten(self, place: MaskPlace, *, has_mask: bool) -> None:
        place.folder.mkdir()
        if has_mask:
            write(place, a_mask(), self.key)
        place.seg_path.write_bytes(b"a person's")
        for force in (False, True):
            assert "move it to another folder" in refused(place, self.key, with_seg=True, force=force)
        write(place, a_mask(), self.key)
        assert place.seg_path.read_bytes() == b"a person's"

    def test_one_that_was_corrected_is_given_up_by_force_alone(self, place: MaskPlace) -> None:
        write(place, a_mask(), self.key, b"seg")
        place.seg_path.write_bytes(b"corrected")
        assert "changed since" in refused(place, self.key, with_seg=True)
        assert existing(place, self.key, with_seg=True, force=True) is None
        found: Any = existing(place, self.key)
        assert not found.seg_sha256
