"""The value that scanners write where they measured nothing."""

from pydicom.uid import ExplicitVRBigEndian

from dicom_io.images.grid.frames import Frames
from dicom_io.images.headers.attributes import integer, tag_of
from dicom_io.images.headers.instance import Instance


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
    element = instance.header.get_item(tag_of("PixelPaddingValue"))
    if element is None or not isinstance(element.value, bytes):
        return element.value if element is not None and isinstance(element.value, int) else None
    # its VR depends on Pixel Representation, which implicit files leave to the reader
    signed = integer(instance.header, "PixelRepresentation") == 1
    big_endian = instance.transfer_syntax == ExplicitVRBigEndian
    value = element.value[:2]
    return int.from_bytes(value, "big" if big_endian else "little", signed=signed) if len(value) == 2 else None
