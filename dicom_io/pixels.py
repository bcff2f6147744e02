"""Stored pixel values of an instance, from the file, in any transfer syntax; nothing is rescaled here."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import FileIO, RawIOBase
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from core.errors import ReasonCode, StudyRejected
from dicom_io.attributes import integer, text, uid
from dicom_io.inflate import InflateLimitError
from dicom_io.instance import Instance, open_dataset

Stored = NDArray[np.integer]

MAX_FRAME_BYTES = 2**27
"""Largest single frame, 8,192 x 8,192 at 16 bits. A header that asks for more is not believed."""

MAX_INFLATED_BYTES = 2**29
"""Largest deflated object, a multi-frame of 1,000 frames of 512 x 512 at 16 bits."""

_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)

_PLUGINS = {
    RLELossless: "pydicom",
    JPEGBaseline8Bit: "gdcm",
    JPEGExtended12Bit: "gdcm",
    JPEGLossless: "gdcm",
    JPEGLosslessSV1: "gdcm",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    JPEG2000Lossless: "pylibjpeg",
    JPEG2000: "pylibjpeg",
    HTJ2KLossless: "pylibjpeg",
    HTJ2KLosslessRPCL: "pylibjpeg",
    HTJ2K: "pylibjpeg",
}
"""One decoder for each compressed transfer syntax, so that the same file gives the same values everywhere."""

_UNDEFINED_LENGTH = 0xFFFFFFFF
_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_END_OF_IMAGE = b"\xff\xd9"


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
        raise _unreadable(instance, "rows, columns or the number of frames are missing")
    if allocated not in (8, 16, 32) or stored is None or not 1 <= stored <= allocated or signed not in (0, 1):
        raise _unreadable(instance, f"{stored} of {allocated} bits, pixel representation {signed}")
    if high is not None and high != stored - 1:
        raise _unreadable(instance, f"{stored} bits that end at bit {high}")
    if text(header, "PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        raise _unreadable(instance, "the photometric interpretation is not MONOCHROME1 or MONOCHROME2")
    layout = PixelLayout(rows, columns, frames, allocated, stored, signed == 1)
    if layout.frame_bytes > MAX_FRAME_BYTES:
        raise _unreadable(instance, f"{rows} x {columns} is more than one frame may hold")
    return layout


def read_frames(
    instance: Instance, frame_numbers: Sequence[int], buffer: NDArray[np.uint8] | None = None
) -> Iterator[Stored]:
    """Yield stored values of frames, 1-based, each ``(row, column)`` and valid until the next is asked for.

    Bits above Bits Stored are dropped and the sign is extended, as GDCM does. MONOCHROME1 is not inverted.

    Parameters
    ----------
    instance, frame_numbers
        Which frames of which file.
    buffer
        Memory to read uncompressed frames into; of another size than a frame, it is not used. One buffer for a whole
        series halves the time, since fresh memory has to be mapped page by page.

    Raises
    ------
    StudyRejected
        ``truncated_pixels`` or ``unreadable_pixels``.
    """
    layout = read_layout(instance)
    if instance.pixel_offset is None:
        raise _truncated(instance, "there is no pixel data")
    if max(frame_numbers) > layout.frames:
        raise _unreadable(instance, f"frame {max(frame_numbers)} of {layout.frames} is asked for")
    syntax = instance.transfer_syntax
    clean = _bit_cleaner(layout)
    try:
        if syntax in _NATIVE:
            if buffer is None or buffer.size != layout.frame_bytes:
                buffer = np.empty(layout.frame_bytes, np.uint8)
            with instance.path.open("rb", buffering=0) as file:
                for frame in _read_native(instance, file, layout, frame_numbers, buffer):
                    yield clean(frame)
        else:
            with instance.path.open("rb") as file:
                for frame in _decode(instance, file, layout, frame_numbers):
                    yield clean(frame)
    except OSError as error:
        raise _unreadable(instance, f"the file cannot be read ({error.strerror})") from error
    except InflateLimitError as error:
        raise _unreadable(instance, "the deflated data is damaged or larger than its header says") from error


def same_pixels(first: Instance, second: Instance) -> bool:
    """Whether two instances hold the same stored values; one that cannot be read is the same as none."""
    try:
        layout = read_layout(first)
        if layout != read_layout(second):
            return False
        numbers = range(1, layout.frames + 1)
        pairs = zip(read_frames(first, numbers), read_frames(second, numbers), strict=True)
        return all(np.array_equal(a, b) for a, b in pairs)
    except StudyRejected:
        return False


def _bit_cleaner(layout: PixelLayout) -> Callable[[Stored], Stored]:
    spare = layout.bits_allocated - layout.bits_stored
    if spare == 0:
        return lambda frame: frame
    return lambda frame: np.right_shift(np.left_shift(frame, spare), spare)


def _read_native(
    instance: Instance, file: FileIO, layout: PixelLayout, frame_numbers: Sequence[int], buffer: NDArray[np.uint8]
) -> Iterator[Stored]:
    data: RawIOBase = file
    big_endian = instance.transfer_syntax == ExplicitVRBigEndian
    if instance.transfer_syntax == DeflatedExplicitVRLittleEndian:
        limit = (instance.pixel_offset or 0) + 12 + layout.frames * layout.frame_bytes
        data = open_dataset(file, min(limit, MAX_INFLATED_BYTES))
    data.seek(instance.pixel_offset or 0)
    length = _value_length(data, "big" if big_endian else "little")
    if length == _UNDEFINED_LENGTH:
        raise _unreadable(instance, "compressed pixel data under an uncompressed transfer syntax")
    if length < layout.frames * layout.frame_bytes:
        raise _truncated(instance, f"{length} of {layout.frames * layout.frame_bytes} bytes")
    if big_endian and layout.bits_allocated == 8:
        raise _unreadable(instance, "8-bit pixels in big endian words")
    start = data.tell()
    frame = buffer.view(layout.dtype.newbyteorder(">" if big_endian else "<")).reshape(layout.rows, layout.columns)
    for number in frame_numbers:
        data.seek(start + (number - 1) * layout.frame_bytes)
        missing = layout.frame_bytes - _read_into(data, buffer.data)
        if missing:
            raise _truncated(instance, f"the file ends {missing} bytes early")
        yield frame.astype(layout.dtype) if big_endian else frame


def _read_into(data: RawIOBase, view: memoryview) -> int:
    """Fill a view as far as there are bytes; gives their number."""
    done = 0
    while done < len(view):
        count = data.readinto(view[done:])
        if not count:
            break
        done += count
    return done


def _decode(instance: Instance, file: BinaryIO, layout: PixelLayout, frame_numbers: Sequence[int]) -> Iterator[Stored]:
    syntax = UID(instance.transfer_syntax)
    if syntax not in _PLUGINS:
        raise _unreadable(instance, f"its transfer syntax {syntax} is not supported")
    file.seek(instance.pixel_offset or 0)
    if _value_length(file, "little") != _UNDEFINED_LENGTH:
        raise _unreadable(instance, "uncompressed pixel data under a compressed transfer syntax")
    value = _encapsulated_value(instance, file, jpeg=syntax != RLELossless)
    decoder = get_decoder(syntax)
    options: dict[str, Any] = {
        "rows": layout.rows,
        "columns": layout.columns,
        "number_of_frames": layout.frames,
        "samples_per_pixel": 1,
        "photometric_interpretation": text(instance.header, "PhotometricInterpretation"),
        "pixel_representation": int(layout.signed),
        "bits_allocated": layout.bits_allocated,
        "bits_stored": layout.bits_stored,
        "pixel_keyword": "PixelData",
    }
    indices = [number - 1 for number in frame_numbers]
    plugin = _PLUGINS[syntax]
    try:
        for frame, _ in decoder.iter_array(value, indices=indices, raw=True, decoding_plugin=plugin, **options):
            yield frame.view(layout.dtype)
    except (RuntimeError, ValueError, AttributeError, NotImplementedError, EOFError, LookupError) as error:
        raise _unreadable(instance, f"{syntax.name} does not decode") from error


def _value_length(data: RawIOBase | BinaryIO, byte_order: Literal["big", "little"]) -> int:
    """Length of the pixel data element at the current position, which moves on to its value."""
    head = data.read(8) or b""
    if head[4:6] in (b"OW", b"OB", b"UN"):
        head = data.read(4) or b""
    return int.from_bytes(head[-4:], byte_order)


def _encapsulated_value(instance: Instance, file: BinaryIO, *, jpeg: bool) -> bytes:
    """The items of compressed pixel data, whole; a decoder would fill in what is missing without a word.

    Raises
    ------
    StudyRejected
        ``truncated_pixels`` if the file ends inside an item or before the delimiter, or the last JPEG stream lacks
        its end.
    """
    start, size = file.tell(), os.fstat(file.fileno()).st_size
    last = b""
    while True:
        head = file.read(8)
        if len(head) < 8 or head[:4] not in (_ITEM, _DELIMITER):
            raise _truncated(instance, "the compressed data ends without its delimiter")
        if head[:4] == _DELIMITER:
            break
        length = int.from_bytes(head[4:], "little")
        end = file.tell() + length
        if end > size:
            raise _truncated(instance, f"the file ends {end - size} bytes early")
        file.seek(max(end - 4, end - length))
        last = file.read(min(4, length))
    if jpeg and not last.rstrip(b"\0").endswith(_END_OF_IMAGE):
        raise _truncated(instance, "the compressed image has no end")
    end = file.tell()
    file.seek(start)
    return file.read(end - start)


def _unreadable(instance: Instance, detail: str) -> StudyRejected:
    return _rejected(ReasonCode.UNREADABLE_PIXELS, instance, detail)


def _truncated(instance: Instance, detail: str) -> StudyRejected:
    return _rejected(ReasonCode.TRUNCATED_PIXELS, instance, detail)


def _rejected(code: ReasonCode, instance: Instance, detail: str) -> StudyRejected:
    where = uid(instance.header, "SOPInstanceUID") or "without UID"
    return StudyRejected(code, f"Image {where}: {detail}.", uid(instance.header, "SeriesInstanceUID") or None)
