"""The values that scanners write where they measured nothing.

References
----------
PS3.3 C.7.5.1.1.2: Pixel Padding Value, and with Pixel Padding Range Limit every value between the two, both included.
"""

from dicom_io.images.grid.frames import Frames
from dicom_io.images.headers.attributes import integer
from dicom_io.images.headers.instance import Instance

_HALF = 2**15
"""They have 16 bits."""


def padding_range(frames: Frames) -> tuple[float, float] | None:
    """Return Pixel Padding Value and Range Limit of a series in the unit of its rescaled values.

    The two are equal where no limit is stated. ``None`` where no image states a value, or where images state different
    ones: then it tells nothing about the volume.
    """
    found = {
        None if stored is None else (float(stored[0] * slope + intercept), float(stored[1] * slope + intercept))
        for (slope, intercept), stored in zip(frames.rescales, map(_stored, frames.instances), strict=True)
    }
    return found.pop() if len(found) == 1 else None


def _stored(instance: Instance) -> tuple[int, int] | None:
    value, limit = (_one(instance, f"PixelPadding{which}") for which in ("Value", "RangeLimit"))
    return None if value is None else (value, value if limit is None else limit)


def _one(instance: Instance, keyword: str) -> int | None:
    found = integer(instance.header, keyword)
    if found is None or not -_HALF <= found < 2 * _HALF:
        return None
    # some files write it under the VR of the other sign than that of their pixels
    signed = integer(instance.header, "PixelRepresentation") == 1
    return (found + _HALF) % (2 * _HALF) - _HALF if signed else found % (2 * _HALF)
