"""Stored pixel values of an instance, from the file, in any transfer syntax; nothing is rescaled here."""

import os
from collections.abc import Callable, Iterator, Sequence
from io import FileIO, RawIOBase
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from core.errors import ReasonCode, StudyRejected
from dicom_io.images.headers.disk_errors import retry_if_passing
from dicom_io.images.headers.inflate import InflateLimitError
from dicom_io.images.headers.instance import Instance, open_dataset, rejected
from dicom_io.images.pixels.compressed import decode
from dicom_io.images.pixels.pixel_layout import PixelLayout, read_layout

Stored = NDArray[np.integer]

MAX_INFLATED_BYTES = 2**29
"""Largest deflated object, a multi-frame of 1,000 frames of 512 x 512 at 16 bits."""

_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)

_PIECE = 2**20

_UNDEFINED_LENGTH = 0xFFFFFFFF


def read_frames(
    instance: Instance, frame_numbers: Sequence[int], buffer: NDArray[np.uint8] | None = None
) -> Iterator[Stored]:
    """Yield stored values of frames, 1-based, each ``(row, column)`` and valid until the next is asked for.

    Bits above Bits Stored are dropped and the sign is extended, as GDCM does. MONOCHROME1 is not inverted.

    Parameters
    ----------
    instance, frame_numbers
        Which frames of which file, by ascending number.
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
        raise _without_pixels(instance)
    if max(frame_numbers) > layout.frames:
        raise _unreadable(instance, f"frame {max(frame_numbers)} was requested, but it has only {layout.frames}")
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
                file.seek(instance.pixel_offset)
                if _value_length(file, "little") != _UNDEFINED_LENGTH:
                    raise _unreadable(instance, "uncompressed pixel data under a compressed transfer syntax")
                for frame in decode(instance, file, layout, frame_numbers):
                    yield clean(frame)
    except OSError as error:
        retry_if_passing(error)
        raise _unreadable(instance, f"the file cannot be read ({error.strerror})") from error
    except InflateLimitError as error:
        raise _unreadable(instance, "the deflated data is damaged or larger than its header says") from error


def check_stored(instance: Instance) -> PixelLayout:
    """Compare an instance's size on disk with its header, without reading a pixel.

    Compressed or deflated pixels can be checked only by decoding them, so they pass here.

    Raises
    ------
    StudyRejected
        ``truncated_pixels`` if the file cannot hold the frames, ``unreadable_pixels`` as ``read_layout``.
    """
    layout = read_layout(instance)
    if instance.pixel_offset is None:
        raise _without_pixels(instance)
    if instance.transfer_syntax in _NATIVE and instance.transfer_syntax != DeflatedExplicitVRLittleEndian:
        try:
            held = instance.path.stat().st_size - instance.pixel_offset
        except OSError as error:
            retry_if_passing(error)
            raise _unreadable(instance, f"the file cannot be read ({error.strerror})") from error
        if held < layout.frames * layout.frame_bytes:
            raise _truncated(instance, f"the file holds at most {held} of {layout.frames * layout.frame_bytes} bytes")
    return layout


def same_pixels(first: Instance, second: Instance) -> bool:
    """Tell whether two instances hold the same stored values; an unreadable one equals no other."""
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
        raise _truncated(instance, f"it holds {length} of {layout.frames * layout.frame_bytes} bytes")
    start = data.tell()
    if data is file:
        _check_excess(instance, data, layout, length)
    if big_endian and layout.bits_allocated == 8:
        raise _unreadable(instance, "8-bit pixels in big-endian words are not supported")
    frame = buffer.view(layout.dtype.newbyteorder(">" if big_endian else "<")).reshape(layout.rows, layout.columns)
    for number in frame_numbers:
        data.seek(start + (number - 1) * layout.frame_bytes)
        missing = layout.frame_bytes - _read_into(data, buffer.data)
        if missing:
            raise _truncated(instance, f"the file ends {missing} bytes early")
        yield frame.astype(layout.dtype) if big_endian else frame


def _check_excess(instance: Instance, data: RawIOBase, layout: PixelLayout, length: int) -> None:
    """Refuse pixel data with more than padding behind its frames, by a row or a column at least."""
    stated = layout.frames * layout.frame_bytes
    if length - stated < min(layout.rows, layout.columns) * layout.dtype.itemsize:
        return  # too little for an image of other rows or columns
    data.seek(stated, os.SEEK_CUR)
    if not _is_padding(data, length - stated):
        raise _unreadable(instance, f"it holds {length} bytes, its header says {stated}: it is of another image")


def _is_padding(data: RawIOBase, count: int) -> bool:
    """Tell whether the next bytes are 00 and FF alone, as writers fill up with."""
    while count > 0 and (piece := data.read(min(count, _PIECE)) or b""):
        if piece.strip(b"\0\xff"):
            return False
        count -= len(piece)
    return True


def _read_into(data: RawIOBase, view: memoryview) -> int:
    """Fill a view as far as there are bytes, and return their number."""
    done = 0
    while done < len(view):
        count = data.readinto(view[done:])
        if not count:
            break
        done += count
    return done


def _value_length(data: RawIOBase | BinaryIO, byte_order: Literal["big", "little"]) -> int:
    """Read the length of the pixel data element at the current position, and move on to its value."""
    head = data.read(8) or b""
    if head[4:6] in (b"OW", b"OB", b"UN"):
        head = data.read(4) or b""
    return int.from_bytes(head[-4:], byte_order)


def _without_pixels(instance: Instance) -> StudyRejected:
    if instance.has_float_pixels:
        return _unreadable(instance, "its pixels are Float Pixel Data, which an image of CT, MR or PET cannot have")
    return _truncated(instance, "it has no pixel data")


def _unreadable(instance: Instance, detail: str) -> StudyRejected:
    return rejected(ReasonCode.UNREADABLE_PIXELS, instance, detail)


def _truncated(instance: Instance, detail: str) -> StudyRejected:
    return rejected(ReasonCode.TRUNCATED_PIXELS, instance, detail)
