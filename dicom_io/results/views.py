"""Views of a result: slices of the image in a window, with the labels' outlines; nothing is written on the anatomy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.label_map import LabelMap
from core.model_config import LabelSpec
from core.regular_grid import regular_grid
from core.volume import Volume
from dicom_io.results.display_window import DisplayWindow, group_by_window
from dicom_io.results.in_line import in_line
from dicom_io.results.planes import PLANES, PatientAxes, Plane, patient_axes
from dicom_io.results.slice_choice import best_slices

LONGEST_SIDE: Final = 640
"""Pixels of the longest side in mm where there is one row of views; the other sides follow at the same scale."""
LONGEST_SIDE_IN_ROWS: Final = 440
"""The same where there are several rows."""
OUTLINE: Final = 2
"""Width of the outlines in pixels, inside the label."""


@dataclass(frozen=True, eq=False)
class View:
    """One slice.

    Attributes
    ----------
    picture
        Anatomy and outlines, without any text.
    letters
        The patient's sides at its left, right, top and bottom.
    position
        Plane and position of the slice.
    """

    picture: Image.Image
    letters: tuple[str, str, str, str]
    position: str


@dataclass(frozen=True, eq=False)
class ViewRow:
    """Axial, coronal and sagittal view in one window, through the labels that are looked at in it."""

    window: DisplayWindow
    views: tuple[View, ...]


@dataclass(frozen=True, eq=False)
class Views:
    """All rows, at one scale in pixels per mm."""

    rows: tuple[ViewRow, ...]
    scale: float


def draw_views(volume: Volume, label_map: LabelMap, found: Sequence[LabelSpec], unit: str | None) -> Views:
    """Draw a row of three views for each window in which labels were found.

    Parameters
    ----------
    volume
        The images; channel 0 is shown, a tilted or uneven stack on its regular grid.
    label_map
        The mask on the volume's grid.
    found
        The labels that have voxels.
    unit
        Unit of channel 0, by `core.units`; None where its values have none.
    """
    axes, channel = patient_axes(regular_grid(volume.geometry)), volume.array[0]
    image = axes.turn(in_line(channel, volume.geometry, float(channel.min())))
    labels = axes.turn(in_line(label_map.array, volume.geometry))
    groups = group_by_window(found, channel, unit)
    longest = LONGEST_SIDE if len(groups) == 1 else LONGEST_SIDE_IN_ROWS
    scale = longest / max(size * mm for size, mm in zip(image.shape, axes.spacing, strict=True))
    rows = []
    for window, shown in groups:
        colours = _colour_table(label_map.labels, shown)
        slices = zip(PLANES, best_slices(labels, [spec.value for spec in shown]), strict=True)
        views = [_view(plane, index, axes, scale, (image, labels), (window, colours)) for plane, index in slices]
        rows.append(ViewRow(window, tuple(views)))
    return Views(tuple(rows), scale)


def _colour_table(every: Sequence[LabelSpec], shown: Sequence[LabelSpec]) -> NDArray[np.uint8]:
    """Make a table ``(value, 4)`` of a colour, and whether the label is outlined."""
    table = np.zeros((max((s.value for s in every), default=0) + 1, 4), dtype=np.uint8)
    for spec in shown:
        table[spec.value] = (*spec.colour, 1)
    return table


def _view(
    plane: Plane,
    index: int,
    axes: PatientAxes,
    scale: float,
    arrays: tuple[NDArray[np.float32], NDArray[Any]],
    look: tuple[DisplayWindow, NDArray[np.uint8]],
) -> View:
    image, labels = (plane.cut(array, index) for array in arrays)
    window, colours = look
    row, column = plane.spacing(axes)
    size = max(1, round(image.shape[1] * column * scale)), max(1, round(image.shape[0] * row * scale))
    grey = Image.fromarray(np.ascontiguousarray(window.grey(image))).resize(size, Image.Resampling.BILINEAR)
    enlarged = _enlarge(labels * (colours[labels, 3] > 0), size)
    pixels = np.array(grey.convert("RGB"))
    edge = outline(enlarged)
    pixels[edge] = colours[enlarged[edge], :3]
    return View(Image.fromarray(pixels), plane.letters(axes), plane.position(axes, index))


def _enlarge(labels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Enlarge by nearest neighbour through indices, since Pillow does not support 16-bit labels."""
    columns, rows = size
    row = ((np.arange(rows) + 0.5) * labels.shape[0] / rows).astype(int)
    column = ((np.arange(columns) + 0.5) * labels.shape[1] / columns).astype(int)
    enlarged: NDArray[Any] = labels[np.ix_(row, column)]
    return enlarged


def outline(labels: NDArray[Any], width: int = OUTLINE) -> NDArray[np.bool_]:
    """Find pixels of a label within ``width`` steps of another label, of the background or of the picture's edge."""
    padded = np.pad(labels, width)
    rows, columns = labels.shape
    edge = np.zeros(labels.shape, dtype=np.bool_)
    for step in range(1, width + 1):
        for dy, dx in ((step, 0), (-step, 0), (0, step), (0, -step)):
            edge |= padded[width + dy : width + dy + rows, width + dx : width + dx + columns] != labels
    return edge & (labels > 0)
