"""The views of a result: sides, letters and aspect of every acquisition, on the scene whose sides are known."""

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image

from core.label_map import LabelMap
from core.model_config import LabelSpec
from core.volume import Geometry, Volume
from dicom_io.results.planes import PLANES, patient_axes, side_letters
from dicom_io.results.views import LONGEST_SIDE, View, draw_views, outline
from tests.support.picture_scene import ACQUISITIONS, scene, turned


def views_of(volume: Volume, labels: LabelMap) -> tuple[View, ...]:
    rows = draw_views(volume, labels, labels.labels, "HU").rows
    assert len(rows) == 1
    return rows[0].views


def centre(picture: Image.Image, colour: tuple[int, int, int]) -> tuple[float, float] | None:
    where = np.argwhere((np.asarray(picture) == colour).all(axis=-1))
    return None if len(where) == 0 else (float(where[:, 0].mean()), float(where[:, 1].mean()))


@pytest.mark.parametrize("degrees", [0, 17])
@pytest.mark.parametrize("name", ACQUISITIONS)
def test_sides_are_where_a_radiologist_expects_them(name: str, degrees: float) -> None:
    volume, labels = scene(turned(ACQUISITIONS[name], degrees))
    axial, coronal, sagittal = (view.picture for view in views_of(volume, labels))
    scale = LONGEST_SIDE / 200
    assert axial.size == pytest.approx((160 * scale, 120 * scale), abs=1)
    assert coronal.size == pytest.approx((160 * scale, LONGEST_SIDE), abs=1)
    assert sagittal.size == pytest.approx((120 * scale, LONGEST_SIDE), abs=1)
    red, green, blue, yellow = (spec.colour for spec in labels.labels)

    middle, to_left, to_back = centre(axial, red), centre(axial, green), centre(axial, blue)
    assert middle is not None
    assert to_left is not None
    assert to_back is not None
    assert abs(middle[0] - axial.height / 2) < 12, "the picture's scale follows the spacing"
    assert abs(middle[1] - axial.width / 2) < 12
    assert to_left[1] > middle[1] + 60, "the patient's left is on the viewer's right"
    assert to_back[0] > middle[0] + 60, "the back is below"
    assert centre(axial, yellow) is None

    for picture, side, colour in ((coronal, "left", green), (sagittal, "back", blue)):
        middle, beside, above = centre(picture, red), centre(picture, colour), centre(picture, yellow)
        assert middle is not None
        assert beside is not None, side
        assert above is not None
        assert beside[1] > middle[1] + 60, f"{side} is on the viewer's right"
        assert above[0] < middle[0] - 60, "the head is up"


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_an_asymmetric_scene_lies_as_simpleitk_orients_it_with_the_letter_at_that_side(name: str) -> None:
    """Compare with SimpleITK's own orientation filter: a view that is mirrored without its letter is seen here."""
    volume, labels = scene(ACQUISITIONS[name].astype(float))
    image = sitk.GetImageFromArray(labels.array)
    image.SetSpacing(volume.geometry.spacing[::-1])
    image.SetOrigin(volume.geometry.origin)
    image.SetDirection(volume.geometry.direction.ravel().tolist())
    lps = sitk.GetArrayFromImage(sitk.DICOMOrient(image, "LPS"))  # axes to the head, the back and the left
    assert (lps != lps[:, :, ::-1]).any()
    axial, coronal, _ = views_of(volume, labels)
    for view, projected in ((axial, lps.max(axis=0) == 2), (coronal, (lps.max(axis=1) == 2)[::-1])):
        expected = np.argwhere(projected).mean(axis=0) / projected.shape
        found = centre(view.picture, labels.labels[1].colour)
        assert found is not None
        assert found[1] / view.picture.width == pytest.approx(expected[1], abs=0.02)
        assert found[0] / view.picture.height == pytest.approx(expected[0], abs=0.06)
        side = view.letters[1] if found[1] > view.picture.width / 2 else view.letters[0]
        assert side == "L"


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_turned_arrays_grow_to_head_back_and_left(name: str) -> None:
    direction = turned(ACQUISITIONS[name], 20)
    volume, _ = scene(direction)
    axes = patient_axes(volume.geometry)
    for axis, patient in enumerate((2, 1, 0)):
        index = np.stack(np.meshgrid(*map(np.arange, volume.geometry.shape), indexing="ij"), axis=-1)
        along = axes.turn(volume.geometry.index_to_lps(index)[..., patient])
        assert (np.diff(along, axis=axis) > 0).all()
    assert sorted(axes.order) == [0, 1, 2]
    assert np.prod(axes.spacing) == pytest.approx(np.prod(volume.geometry.spacing))


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_letters_name_the_sides(name: str) -> None:
    axes = patient_axes(scene(ACQUISITIONS[name].astype(float))[0].geometry)
    assert {plane.name: plane.letters(axes) for plane in PLANES} == {
        "axial": ("R", "L", "A", "P"),
        "coronal": ("R", "L", "H", "F"),
        "sagittal": ("A", "P", "H", "F"),
    }


@pytest.mark.parametrize(
    ("direction", "letters"),
    [
        ((1, 0, 0), "L"),
        ((-1, 0, 0), "R"),
        ((0, 1, 0), "P"),
        ((0, -1, 0), "A"),
        ((0, 0, 1), "H"),
        ((0, 0, -1), "F"),
        ((0.8, 0.6, 0), "LP"),
        ((-0.6, 0, -0.8), "FR"),
        ((0.36, -0.8, 0.48), "AHL"),
        ((0.999, 0.04, 0), "L"),
    ],
)
def test_letters_of_a_direction_come_nearest_side_first(direction: tuple[float, float, float], letters: str) -> None:
    assert side_letters(np.array(direction, dtype=np.float64)) == letters


def test_an_oblique_acquisition_has_letters_of_both_sides_at_an_edge() -> None:
    volume, labels = scene(turned(np.eye(3), 30))
    axial, coronal, sagittal = views_of(volume, labels)
    # Turned by 30 degrees about x, then about z: rows run to (0.87, 0.5, 0), columns to (-0.43, 0.75, 0.5).
    assert axial.letters == ("RA", "LP", "AFL", "PHR")
    assert coronal.letters == ("RA", "LP", "HAL", "FPR")
    assert sagittal.letters == ("AFL", "PHR", "HAL", "FPR")


def test_the_position_is_the_coordinate_of_the_slice_that_is_shown() -> None:
    volume, labels = scene(np.array([[-1, 0, 0], [0, 1, 0], [0, 0, -1]], dtype=float))
    for view, axis in zip(views_of(volume, labels), (2, 1, 0), strict=True):
        name, written = view.position.split(", ")
        coordinate = float(written.removeprefix(f"{'xyz'[axis]} = ").removesuffix(" mm"))
        inside = np.argwhere(labels.array == 1)
        middle = volume.geometry.index_to_lps(inside)[:, axis]
        assert middle.min() - 0.1 <= coordinate <= middle.max() + 0.1, name


@pytest.mark.parametrize("reverse", [False, True])
def test_positions_follow_the_grid(reverse: bool) -> None:
    direction = np.diag([1.0, -1.0, -1.0]) if reverse else np.eye(3)
    axes = patient_axes(Geometry((4, 6, 8), (5.0, 2.0, 1.0), (10.0, 20.0, 30.0), direction))
    heights = [30.0 + (-5.0 if reverse else 5.0) * k for k in range(4)]
    assert [axes.position(0, k) for k in range(4)] == sorted(heights)


def test_an_outline_lies_inside_its_label() -> None:
    labels = np.zeros((40, 40), np.uint16)
    labels[10:30, 10:30] = 300
    labels[10:30, 20:30] = 2
    edge = outline(labels, 2)
    assert not edge[labels == 0].any()
    assert edge[10:12, 10:30].all()
    assert edge[10:30, 18:22].all(), "both sides of a border between labels"
    assert not edge[13:27, 13:17].any()


def rows_by_window(array: NDArray[np.float32], unit: str | None) -> dict[str, list[str]]:
    volume, labels = scene(np.eye(3))
    names = ["liver", "lung", "bone", "left_rib_3"]
    specs = tuple(LabelSpec(value=s.value, name=n, colour=s.colour) for s, n in zip(labels.labels, names, strict=True))
    volume = Volume(array, volume.geometry, volume.sop_instance_uids, volume.frame_numbers, ("1.3",), "1.4")
    rows = draw_views(volume, LabelMap(labels.array, labels.geometry, specs), specs, unit).rows
    pictures = [(str(row.window), [view.picture for view in row.views]) for row in rows]
    return {
        window: [s.name for s in specs if any(centre(picture, s.colour) is not None for picture in shown)]
        for window, shown in pictures
    }


def test_lung_and_bone_have_rows_in_windows_of_their_own() -> None:
    array = scene(np.eye(3))[0].array
    assert rows_by_window(array, "HU") == {
        "Soft tissue: W 400 L 40 HU": ["liver"],
        "Lung: W 1500 L -600 HU": ["lung"],
        "Bone: W 2000 L 400 HU": ["bone", "left_rib_3"],
    }


def test_values_that_are_not_hu_have_one_row_in_their_own_range() -> None:
    array = scene(np.eye(3))[0].array.clip(0) * 0.05
    assert rows_by_window(array, "SUVbw") == {"Window: W 5 L 2.5 SUVbw": ["liver", "lung", "bone", "left_rib_3"]}
