"""A picture of a result: three planes of the anatomy with the labels' outlines, and their volumes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from core.label_map import LabelMap
from core.model_config import LabelSpec
from core.volume import Volume
from dicom_io.results.planes import PLANES, Plane, patient_axes, telling_slices

SOFT_TISSUE_WINDOW = (-160.0, 240.0)
"""HU shown black and white."""
PERCENTILES = (1.0, 99.0)
"""Percentiles shown black and white where values are not HU."""
LOWEST_UNSIGNED = -200.0
"""A volume that goes below this holds HU: only CT has air far below zero."""
LONGEST_SIDE = 640
"""Pixels of the longest side in mm; the other sides follow at the same scale."""
OUTLINE = 2
"""Width of the outlines in pixels, inside the label."""

_MARGIN, _TITLE, _LINE, _COLUMN = 12, 34, 20, 230
_BACKGROUND, _TEXT, _LETTER = (0, 0, 0), (235, 235, 235), (255, 210, 60)


def write_overlay(path: Path, volume: Volume, label_map: LabelMap, title: str) -> None:
    """Write a PNG with an axial, a coronal and a sagittal plane through the labels.

    The patient's right is on the viewer's left; letters name the sides. Planes go through the slices that cross most
    labels, through the middle if there are none. Aspect follows the spacing in mm.

    Parameters
    ----------
    path
        The file to write.
    volume
        The images; channel 0 is shown.
    label_map
        The mask on the volume's grid.
    title
        Text above the picture; no patient's name or ID.
    """
    axes = patient_axes(volume.geometry)
    image, labels = axes.turn(volume.array[0]), axes.turn(label_map.array)
    black, white = _window(volume.array[0])
    scale = LONGEST_SIDE / max(size * mm for size, mm in zip(image.shape, axes.spacing, strict=True))
    colours = _colour_table(label_map.labels)
    panels = []
    for plane, index in zip(PLANES, telling_slices(labels), strict=True):
        row, column = plane.spacing(axes)
        grey = (plane.cut(image, index) - black) * (255 / (white - black))
        cut = plane.cut(labels, index)
        size = max(1, round(cut.shape[1] * column * scale)), max(1, round(cut.shape[0] * row * scale))
        panels.append(_panel(plane, np.clip(grey, 0, 255).astype(np.uint8), cut, size, colours))
    _compose(panels, label_map, title).save(path, format="PNG")


def _window(image: NDArray[np.float32]) -> tuple[float, float]:
    if float(image.min()) < LOWEST_UNSIGNED:
        return SOFT_TISSUE_WINDOW
    low, high = (float(v) for v in np.percentile(image[:, ::4, ::4], PERCENTILES))
    return low, max(high, low + 1e-6)


def _colour_table(specs: Sequence[LabelSpec]) -> NDArray[np.uint8]:
    table = np.zeros((max((s.value for s in specs), default=0) + 1, 3), dtype=np.uint8)
    for spec in specs:
        table[spec.value] = spec.colour
    return table


def _panel(
    plane: Plane, grey: NDArray[np.uint8], labels: NDArray[Any], size: tuple[int, int], colours: NDArray[np.uint8]
) -> Image.Image:
    picture = Image.fromarray(np.ascontiguousarray(grey)).resize(size, Image.Resampling.BILINEAR).convert("RGB")
    enlarged = _enlarge(labels, size)
    pixels = np.array(picture)
    edge = outline(enlarged)
    pixels[edge] = colours[enlarged[edge]]
    picture = Image.fromarray(pixels)
    _draw_letters(picture, plane.letters)
    return picture


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


def _draw_letters(picture: Image.Image, letters: tuple[str, str, str, str]) -> None:
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=18)
    width, height = picture.size
    places = ((10, height // 2), (width - 10, height // 2), (width // 2, 12), (width // 2, height - 12))
    for letter, place in zip(letters, places, strict=True):
        draw.text(place, letter, fill=_LETTER, font=font, anchor="mm", stroke_width=2, stroke_fill=_BACKGROUND)


def _compose(panels: Sequence[Image.Image], label_map: LabelMap, title: str) -> Image.Image:
    voxel_ml = label_map.geometry.voxel_volume_mm3 / 1000
    counts = label_map.voxel_counts()
    entries = [(spec, counts[spec.name] * voxel_ml) for spec in label_map.labels if counts[spec.name]]
    width = max(sum(p.width for p in panels) + _MARGIN * (len(panels) + 1), 3 * _COLUMN)
    columns = max(1, (width - _MARGIN) // _COLUMN)
    rows = -(-max(len(entries), 1) // columns)
    top = _MARGIN + _TITLE
    bottom = top + max(p.height for p in panels) + _MARGIN
    canvas = Image.new("RGB", (width, bottom + rows * _LINE + _MARGIN), _BACKGROUND)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=14)
    draw.text((_MARGIN, _MARGIN), title, fill=_TEXT, font=ImageFont.load_default(size=20))
    left = _MARGIN
    for panel in panels:
        canvas.paste(panel, (left, top))
        left += panel.width + _MARGIN
    if not entries:
        draw.text((_MARGIN, bottom), "nothing found", fill=_TEXT, font=font)
    for number, (spec, volume_ml) in enumerate(entries):
        x, y = _MARGIN + number // rows * _COLUMN, bottom + number % rows * _LINE
        draw.rectangle((x, y + 3, x + 12, y + 15), fill=spec.colour)
        name = spec.name if len(spec.name) <= 20 else f"{spec.name[:19]}…"
        amount = f"{volume_ml:.1f}" if volume_ml >= 1 else f"{volume_ml:.2g}"
        draw.text((x + 20, y), f"{name}  {amount} ml", fill=_TEXT, font=font)
    return canvas
