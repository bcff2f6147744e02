"""The value that scanners write where they measured nothing."""

from dicom_io.images.grid.frames import Frames
from dicom_io.images.headers.attributes import integer
from dicom_io.images.headers.instance import Instance

_HALF = 2**15
"""It has 16 bits."""


def padding_value(frames: Frames) -> float | None:
    """Return the Pixel Padding Value of a series in the unit of its rescaled values.

    ``None`` where no image states one, or where images state different ones: then it tells nothing about the volume.
    """
    found = {
        None if stored is None else float(stored * slope + intercept)
        for (slope, intercept), stored in zip(frames.rescales, map(_stored, frames.instances), strict=True)
    }
    return found.pop() if len(found) == 1 else None


def _stored(instance: Instance) -> int | None:
    found = integer(instance.header, "PixelPaddingValue")
    if found is None or not -_HALF <= found < 2 * _HALF:
        return None
    # some files write it under the VR of the other sign than that of their pixels
    signed = integer(instance.header, "PixelRepresentation") == 1
    return (found + _HALF) % (2 * _HALF) - _HALF if signed else found % (2 * _HALF)
