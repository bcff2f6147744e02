"""Images that are set aside, and those that are too many or too near to a slice for that."""

import pytest
from pydicom.dataset import Dataset

from core.errors import ReasonCode, StudyRejected
from core.study_warning import WarningCode
from dicom_io.images.grid.geometry import layout_of
from dicom_io.images.splitting.volumes import split_of
from tests.support.several_volumes import of_plane, series_of, stack

SAGITTAL, CORONAL = (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)


def volume(count: int = 12) -> list[Dataset]:
    return stack("volume", [4.0 * number for number in range(count)], modality="CT")


def scouts(count: int) -> list[Dataset]:
    planes = (SAGITTAL, CORONAL, (0, 0, 1, 1, 0, 0), (0, -1, 0, 0, 0, -1))
    return [of_plane(stack(("scout", n), [14.0], modality="CT"), planes[n % 4])[0] for n in range(count)]


def without_position(count: int) -> list[Dataset]:
    images = stack("pictures", [0.0] * count, modality="CT")
    for image in images:
        del image.ImagePositionPatient, image.ImageOrientationPatient
    return images


def of_another_matrix() -> list[Dataset]:
    return stack("small", [14.0], modality="CT", Rows=17)


@pytest.mark.parametrize(
    ("strays", "count", "why"),
    [
        (scouts(1), 12, ["has another orientation"]),
        (scouts(1), 2, ["has another orientation"]),
        (scouts(3), 57, ["has another orientation"] * 3),
        (without_position(1), 12, ["has no position or orientation"]),
        (of_another_matrix(), 12, ["has another matrix"]),
        (scouts(2) + without_position(1), 80, ["has another orientation"] * 2 + ["has no position or orientation"]),
    ],
    ids=["one", "one beside two", "three of 60", "picture", "matrix", "of both kinds"],
)
def test_strays_are_set_aside_and_named(strays: list[Dataset], count: int, why: list[str]) -> None:
    (found,) = split_of(series_of(strays[:1], volume(count), strays[1:])).volumes
    assert len(found.instances) == count
    assert {(one.name, one.why) for one in found.strays} == {
        (str(image.SOPInstanceUID), reason) for image, reason in zip(strays, why, strict=True)
    }
    (warning,) = layout_of(found).warnings
    assert warning.code is WarningCode.IMAGES_SET_ASIDE
    assert all(str(image.SOPInstanceUID) in warning.detail for image in strays)


@pytest.mark.parametrize(
    ("strays", "count", "code"),
    [
        (scouts(2), 20, ReasonCode.MIXED_ORIENTATION),
        (scouts(3), 56, ReasonCode.MIXED_ORIENTATION),
        (scouts(4), 200, ReasonCode.MIXED_ORIENTATION),
        (without_position(2), 12, ReasonCode.NO_POSITION),
        (scouts(1), 1, ReasonCode.MIXED_ORIENTATION),
    ],
    ids=["two of 22", "three of 59", "four", "two pictures", "one beside one"],
)
def test_more_than_a_few_are_no_strays(strays: list[Dataset], count: int, code: ReasonCode) -> None:
    split = split_of(series_of(volume(count), strays))
    assert split.refusal is not None
    assert split.refusal.code is code
    assert all(not one.strays for one in split.volumes)


@pytest.mark.parametrize("place", [0, -1], ids=["first", "last"])
def test_a_slice_at_an_end_that_was_damaged_is_no_stray(place: int) -> None:
    images = volume()
    images[place].ImageOrientationPatient = list(SAGITTAL)
    assert all(not one.strays for one in split_of(series_of(images)).volumes)


def test_a_stray_in_place_of_a_slice_leaves_a_gap() -> None:
    images = volume()
    images[5] = scouts(1)[0]
    series = series_of(images)
    with pytest.raises(StudyRejected):
        layout_of(split_of(series).volumes[0])


def test_a_stray_beside_two_volumes_is_set_aside_of_both() -> None:
    echoes = [stack(n, [4.0 * number for number in range(12)], EchoNumbers=n) for n in (1, 2)]
    scout = of_plane(stack("scout", [14.0]), SAGITTAL)
    found = split_of(series_of(*echoes, scout)).volumes
    assert [len(one.instances) for one in found] == [12, 12]
    assert [len(one.strays) for one in found] == [1, 1]
