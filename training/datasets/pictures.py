"""Pictures of a case for the report: three planes through its labels, with the labels' colours."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.units import HU, same_unit

HEIGHT = 300
"""Of a plane, in pixels."""
_WINDOW_HU = (-160.0, 240.0)
_PERCENTILES = (1.0, 99.0)
_SHARE = 0.45
"""Of the colour, inside a label; its outline is of the pure colour."""
_IGNORED = (128, 128, 128)
_HUES = (
    *((230, 60, 50), (70, 170, 70), (60, 110, 230), (240, 180, 40), (170, 80, 200), (40, 190, 200)),
    *((240, 120, 40), (150, 200, 60), (230, 100, 160), (120, 140, 250), (180, 140, 90), (90, 200, 150)),
)


def colour_of(value: int, ignore: int | None = None) -> tuple[int, int, int]:
    """Return the colour of a label's value; the ignore label is grey."""
    return _IGNORED if value == ignore else _HUES[(value - 1) % len(_HUES)]


def picture_of(
    image: NDArray[np.float32],
    labels: NDArray[np.generic],
    spacing: Sequence[float],
    unit: str | None,
    ignore: int | None,
) -> bytes:
    """Draw a case as PNG: the planes across slices, rows and columns where most voxels have a label.

    Parameters
    ----------
    image, labels
        ``(slice, row, column)``.
    spacing
        mm, in the same order.
    unit
        Of the image's values, which decides the window.
    ignore
        The ignore label, which does not count for the choice of planes.
    """
    low, high = _window(image, unit)
    counted = (labels != 0) & (labels != ignore)
    from_above = counted.sum(axis=0, dtype=np.int32)
    per_plane = (np.count_nonzero(counted, axis=(1, 2)), from_above.sum(axis=1), from_above.sum(axis=0))
    tiles = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        index = int(per_plane[axis].argmax()) if per_plane[axis].any() else image.shape[axis] // 2
        cut = np.moveaxis(image, axis, 0)[index]
        grey = np.clip((cut - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)
        plane = _coloured(grey, np.moveaxis(labels, axis, 0)[index], ignore)
        if axis:
            plane = plane[::-1]  # slices go up
        down, across = spacing[others[0]], spacing[others[1]]
        width = max(1, round(HEIGHT * plane.shape[1] * across / (plane.shape[0] * down)))
        tiles.append(Image.fromarray(plane).resize((min(width, 3 * HEIGHT), HEIGHT), Image.Resampling.NEAREST))
    gap = 4
    sheet = Image.new("RGB", (sum(tile.width for tile in tiles) + gap * 2, HEIGHT))
    left = 0
    for tile in tiles:
        sheet.paste(tile, (left, 0))
        left += tile.width + gap
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def inline(png: bytes) -> str:
    """Return a picture as the address of itself, for a page that needs no other file."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _window(image: NDArray[np.float32], unit: str | None) -> tuple[float, float]:
    if unit is not None and same_unit(unit, HU):
        return _WINDOW_HU
    low, high = np.percentile(image[:, ::2, ::2], _PERCENTILES)
    return float(low), float(high)


def _coloured(grey: NDArray[np.uint8], labels: NDArray[np.generic], ignore: int | None) -> NDArray[np.uint8]:
    result = np.repeat(grey[..., np.newaxis], 3, axis=2).astype(np.float32)
    for value in np.unique(labels).tolist():
        if not value:
            continue
        inside = labels == value
        colour = np.array(colour_of(int(value), ignore), np.float32)
        result[inside] = (1 - _SHARE) * result[inside] + _SHARE * colour
        if value != ignore:
            result[inside & ~_shrunk(inside)] = colour
    return result.astype(np.uint8)


def _shrunk(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(mask, 1)
    inner: NDArray[np.bool_] = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inner
