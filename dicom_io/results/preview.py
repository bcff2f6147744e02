"""A picture of a result: slices through what was found, and all that a person needs to read them.

It names model, series, date, window, sides, positions and scale, and every label, found or not. All text stands beside
the anatomy. It holds no name or ID of a patient, and no description of a series, since sites write names there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

from core.label_map import LabelMap
from core.model_config import LabelSpec
from core.version import VERSION
from core.volume import Volume
from dicom_io.images.headers.attributes import integer, text
from dicom_io.results.local_time import now
from dicom_io.results.views import View, ViewRow, Views, draw_views

SCALE_BARS_MM: Final = (1, 2, 5, 10, 20, 50, 100, 200)
LONGEST_BAR: Final = 110
"""Pixels of the longest scale bar."""

_DATES: Final = ("AcquisitionDate", "SeriesDate", "ContentDate", "StudyDate")
_MARGIN, _LINE, _COLUMN = 12, 20, 270
_SIDE, _ABOVE, _BELOW = 42, 44, 46
"""Pixels beside, above and below a view, for letters, position and scale bar."""
_NARROWEST = 250
_BACKGROUND, _TEXT, _LETTER = (0, 0, 0), (235, 235, 235), (255, 210, 60)
_LONGEST_NAME = 24


@dataclass(frozen=True)
class Caption:
    """The two lines above the picture."""

    model: str
    series: str


def caption_of(model: str, headers: Sequence[Dataset]) -> Caption:
    """Write which model ran on which series, of which date, and when.

    Parameters
    ----------
    model
        Name and version.
    headers
        A header of each channel's series; the first is shown.
    """
    numbers = [integer(header, "SeriesNumber") for header in headers]
    series = ", ".join("without number" if number is None else str(number) for number in numbers)
    shown = " (the first is shown)" if len(headers) > 1 else ""
    modality = text(headers[0], "Modality") if text(headers[0], "Modality") in ("CT", "MR", "PT") else "image"
    dates = [day for day in (_day(text(headers[0], keyword)) for keyword in _DATES) if day is not None]
    taken = f"of {dates[0].isoformat()}" if dates else "of unknown date"
    made = f"segmented {now().date().isoformat()} by segnode {VERSION}"
    return Caption(model, f"{modality} series {series}{shown} {taken}, {made}")


def _day(written: str) -> date | None:
    try:
        return date.fromisoformat(written)
    except ValueError:
        return None


def write_overlay(path: Path, volume: Volume, label_map: LabelMap, caption: Caption, unit: str | None) -> None:
    """Write a PNG with axial, coronal and sagittal views through the labels, a row for each window.

    The patient's right is on the viewer's left; letters name the sides. Slices are those in which the labels' largest
    components are seen best, the middle ones if nothing was found. Aspect follows the spacing in mm.

    Parameters
    ----------
    path
        The file to write.
    volume
        The images; channel 0 is shown.
    label_map
        The mask on the volume's grid.
    caption
        Text above the picture; no patient's name or ID.
    unit
        Unit of channel 0, by `core.units`; None where its values have none.
    """
    counts = label_map.voxel_counts()
    found = [spec for spec in label_map.labels if counts[spec.name]]
    missing = [spec.name for spec in label_map.labels if not counts[spec.name]]
    volumes = label_map.exact_volumes_ml()
    entries = [(spec, volumes[spec.name]) for spec in found]
    _compose(draw_views(volume, label_map, found, unit), entries, missing, caption).save(path, format="PNG")


def _compose(
    views: Views, entries: Sequence[tuple[LabelSpec, float]], missing: Sequence[str], caption: Caption
) -> Image.Image:
    rows = [_row(row, views.scale) for row in views.rows]
    width = max(*(row.width + 2 * _MARGIN for row in rows), 3 * _COLUMN + _MARGIN)
    legend = _legend(width, entries, missing)
    top = _MARGIN + 30 + _LINE + _MARGIN
    canvas = Image.new("RGB", (width, top + sum(row.height for row in rows) + legend.height), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    draw.text((_MARGIN, _MARGIN), caption.model, fill=_TEXT, font=_font(20))
    draw.text((_MARGIN, _MARGIN + 28), caption.series, fill=_TEXT, font=_font(15))
    for row in rows:
        canvas.paste(row, (_MARGIN, top))
        top += row.height
    canvas.paste(legend, (0, top))
    return canvas


def _row(row: ViewRow, scale: float) -> Image.Image:
    """Draw the views of a row side by side below the name of its window."""
    frames = [_frame(view, scale) for view in row.views]
    height = _LINE + 4 + max(frame.height for frame in frames)
    canvas = Image.new("RGB", (sum(frame.width for frame in frames), height), _BACKGROUND)
    ImageDraw.Draw(canvas).text((0, 0), str(row.window), fill=_TEXT, font=_font(16))
    left = 0
    for frame in frames:
        canvas.paste(frame, (left, _LINE + 4))
        left += frame.width
    return canvas


def _frame(view: View, scale: float) -> Image.Image:
    """Draw a view with its position above, its sides' letters at its edges, and a scale bar below."""
    picture = view.picture
    width = max(picture.width + 2 * _SIDE, _NARROWEST)
    canvas = Image.new("RGB", (width, picture.height + _ABOVE + _BELOW), _BACKGROUND)
    left, top = (width - picture.width) // 2, _ABOVE
    right, bottom = left + picture.width, top + picture.height
    canvas.paste(picture, (left, top))
    draw = ImageDraw.Draw(canvas)
    draw.text((width // 2, 2), view.position, fill=_TEXT, font=_font(15), anchor="mt")
    across, along = left + picture.width // 2, top + picture.height // 2
    places = ((left - 4, along, "rm"), (right + 4, along, "lm"), (across, top - 4, "mb"), (across, bottom + 4, "mt"))
    for letter, (x, y, anchor) in zip(view.letters, places, strict=True):
        draw.text((x, y), letter, fill=_LETTER, font=_font(18), anchor=anchor)
    _draw_scale_bar(draw, left, bottom + 32, scale)
    return canvas


def _draw_scale_bar(draw: ImageDraw.ImageDraw, left: int, y: int, scale: float) -> None:
    length = max((mm for mm in SCALE_BARS_MM if mm * scale <= LONGEST_BAR), default=SCALE_BARS_MM[0])
    right = left + round(length * scale)
    draw.line((left, y, right, y), fill=_TEXT, width=2)
    for x in (left, right):
        draw.line((x, y - 4, x, y + 4), fill=_TEXT, width=2)
    draw.text((right + 8, y), f"{length} mm", fill=_TEXT, font=_font(14), anchor="lm")


def _legend(width: int, entries: Sequence[tuple[LabelSpec, float]], missing: Sequence[str]) -> Image.Image:
    columns = max(1, (width - _MARGIN) // _COLUMN)
    rows = -(-len(entries) // columns)
    said = [] if entries else ["Nothing was found."]
    if missing:
        said += _wrap(f"Not found: {', '.join(missing)}", width - 2 * _MARGIN)
    canvas = Image.new("RGB", (width, _MARGIN + (rows + len(said)) * _LINE + _MARGIN), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for number, (spec, volume_ml) in enumerate(entries):
        x, y = _MARGIN + number // rows * _COLUMN, _MARGIN + number % rows * _LINE
        draw.rectangle((x, y + 3, x + 12, y + 15), fill=spec.colour)
        name = spec.name if len(spec.name) <= _LONGEST_NAME else f"{spec.name[: _LONGEST_NAME - 1]}…"
        amount = f"{volume_ml:.1f}" if volume_ml >= 1 else f"{volume_ml:.2g}"
        draw.text((x + 20, y), f"{name}  {amount} ml", fill=_TEXT, font=_font(14))
    for number, line in enumerate(said, start=rows):
        draw.text((_MARGIN, _MARGIN + number * _LINE), line, fill=_TEXT, font=_font(14))
    return canvas


def _wrap(sentence: str, width: int) -> list[str]:
    """Break a sentence at its blanks into lines of a width in pixels."""
    lines, font = [""], _font(14)
    for word in sentence.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow has no FreeType: install a wheel of it")
    return font
