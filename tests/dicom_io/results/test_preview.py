"""The overlay picture: sides, aspect and outlines of every acquisition, on the phantom whose sides are known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from core.label_map import LabelMap
from core.model_config import LabelSpec
from core.volume import Geometry, Volume
from dicom_io.results.planes import PLANES, patient_axes, telling_slices
from dicom_io.results.preview import LONGEST_SIDE, outline, write_overlay

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


def centre(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> tuple[float, float] | None:
    where = np.argwhere((picture == colour).all(axis=-1))
    return None if len(where) == 0 else (float(where[:, 0].mean()), float(where[:, 1].mean()))


@pytest.mark.parametrize("degrees", [0, 17])
@pytest.mark.parametrize("name", ACQUISITIONS)
def test_sides_are_where_a_radiologist_expects_them(name: str, degrees: float, tmp_path: Path) -> None:
    volume, labels = scene(turned(ACQUISITIONS[name], degrees))
    write_overlay(tmp_path / "x.png", volume, labels, "test")
    picture = np.array(Image.open(tmp_path / "x.png"))
    scale = LONGEST_SIDE / 200
    top, margin = 46, 12
    widths = [round(160 * scale), round(160 * scale), round(120 * scale)]
    heights = [round(120 * scale), LONGEST_SIDE, LONGEST_SIDE]
    left = margin
    panels = []
    for width, height in zip(widths, heights, strict=True):
        panels.append(picture[top : top + height, left : left + width])
        left += width + margin
    red, green, blue, yellow = (spec.colour for spec in labels.labels)
    axial, coronal, sagittal = panels

    middle = centre(axial, red)
    assert middle is not None
    assert abs(middle[0] - heights[0] / 2) < 12, "the picture's scale follows the spacing"
    assert abs(middle[1] - widths[0] / 2) < 12
    to_left, to_back = centre(axial, green), centre(axial, blue)
    assert to_left is not None
    assert to_back is not None
    assert to_left[1] > middle[1] + 60, "the patient's left is on the viewer's right"
    assert to_back[0] > middle[0] + 60, "the back is below"
    assert centre(axial, yellow) is None

    for picture_of, side, colour in ((coronal, "left", green), (sagittal, "back", blue)):
        middle, beside, above = centre(picture_of, red), centre(picture_of, colour), centre(picture_of, yellow)
        assert middle is not None
        assert beside is not None, side
        assert above is not None
        assert beside[1] > middle[1] + 60, f"{side} is on the viewer's right"
        assert above[0] < middle[0] - 60, "the head is up"


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


def test_the_slice_with_most_labels_is_shown() -> None:
    labels = np.zeros((10, 12, 14), np.uint8)
    labels[2, 1:11, 1:13] = 1
    labels[7, 3:5, 3:5] = 1
    labels[7, 8, 8] = 2
    assert telling_slices(labels)[0] == 7
    assert list(telling_slices(np.zeros((10, 12, 14), np.uint8))) == [5, 6, 7]


def test_an_outline_lies_inside_its_label() -> None:
    labels = np.zeros((40, 40), np.uint16)
    labels[10:30, 10:30] = 300
    labels[10:30, 20:30] = 2
    edge = outline(labels, 2)
    assert not edge[labels == 0].any()
    assert edge[10:12, 10:30].all()
    assert edge[10:30, 18:22].all(), "both sides of a border between labels"
    assert not edge[13:27, 13:17].any()


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("empty", [False, True])
def test_contrast_and_legend(modality: str, empty: bool, tmp_path: Path) -> None:
    volume, labels = scene(np.eye(3))
    array = volume.array if modality == "CT" else volume.array.clip(0) * 30
    volume = Volume(array, volume.geometry, volume.sop_instance_uids, volume.frame_numbers, ("1.3",), "1.4")
    if empty:
        labels = LabelMap(labels.array * 0, labels.geometry, labels.labels)
    write_overlay(tmp_path / "x.png", volume, labels, "organs 2026.1")
    image = Image.open(tmp_path / "x.png")
    assert image.mode == "RGB"
    assert not image.info, "no text rides along in the file"
    panel = np.array(image)[46:400, 12:500]
    assert panel.std() > 10
    legend = np.array(image)[46 + LONGEST_SIDE + 12 :]
    shown = [(legend == spec.colour).all(axis=-1).sum() > 100 for spec in labels.labels]
    assert shown == [not empty] * 4


def test_letters_name_the_sides() -> None:
    assert {plane.name: plane.letters for plane in PLANES} == {
        "axial": ("R", "L", "A", "P"),
        "coronal": ("R", "L", "H", "F"),
        "sagittal": ("A", "P", "H", "F"),
    }
