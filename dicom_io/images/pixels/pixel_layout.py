"""The Image Pixel attributes of a header that describe stored values, checked before they are trusted."""

from dataclasses import dataclass

import numpy as np

from core.errors import ReasonCode
from dicom_io.images.headers.attributes import integer, text
from dicom_io.images.headers.instance import Instance, rejected

MAX_FRAME_BYTES = 2**27
"""Largest single frame, 8,192 x 8,192 at 16 bits. A header that asks for more is not believed."""


@dataclass(frozen=True)
class PixelLayout:
    """Image Pixel attributes that say how to read stored values."""

    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    signed: bool

    @property
    def dtype(self) -> np.dtype[np.integer]:
        """Stored values in the machine's byte order."""
        return np.dtype(f"{'i' if self.signed else 'u'}{self.bits_allocated // 8}")

    @property
    def frame_bytes(self) -> int:
        """Size of one uncompressed frame."""
        return self.rows * self.columns * self.bits_allocated // 8


def read_layout(instance: Instance) -> PixelLayout:
    """Read the Image Pixel attributes.

    Raises
    ------
    StudyRejected
        ``unreadable_pixels`` if they describe no monochrome image of 8, 16 or 32 bits.
    """
    header = instance.header
    rows, columns = integer(header, "Rows"), integer(header, "Columns")
    allocated, stored = integer(header, "BitsAllocated"), integer(header, "BitsStored")
    high, signed = integer(header, "HighBit"), integer(header, "PixelRepresentation")
    frames = integer(header, "NumberOfFrames") or 1
    if not rows or not columns or min(rows, columns, frames) < 1:
        raise rejected(ReasonCode.UNREADABLE_PIXELS, instance, "rows, columns or the number of frames are missing")
    if allocated not in (8, 16, 32) or stored is None or not 1 <= stored <= allocated or signed not in (0, 1):
        raise rejected(
            ReasonCode.UNREADABLE_PIXELS,
            instance,
            f"Bits Stored {stored}, Bits Allocated {allocated}, Pixel Representation {signed} are not supported",
        )
    if high is not None and high != stored - 1:
        raise rejected(ReasonCode.UNREADABLE_PIXELS, instance, f"High Bit is {high}, expected {stored - 1}")
    if text(header, "PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        raise rejected(
            ReasonCode.UNREADABLE_PIXELS, instance, "the photometric interpretation is not MONOCHROME1 or MONOCHROME2"
        )
    layout = PixelLayout(rows, columns, frames, allocated, stored, signed == 1)
    if layout.frame_bytes > MAX_FRAME_BYTES:
        raise rejected(ReasonCode.UNREADABLE_PIXELS, instance, f"{rows} x {columns} exceeds the largest frame")
    return layout
