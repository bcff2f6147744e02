"""Frames of compressed pixel data, decoded one by one; a codestream that promises another image is not decoded."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from core.errors import ReasonCode
from dicom_io.images.headers.attributes import text
from dicom_io.images.headers.instance import Instance, rejected
from dicom_io.images.pixels.codestream import CodestreamError, CodestreamSize, codestream_size
from dicom_io.images.pixels.pixel_layout import PixelLayout
from dicom_io.images.pixels.streams import TruncatedStreamError, jpeg_streams, rle_streams

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

_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


def decode(
    instance: Instance, file: BinaryIO, layout: PixelLayout, frame_numbers: Sequence[int]
) -> Iterator[NDArray[np.integer]]:
    """Yield stored values of frames, by ascending number.

    Parameters
    ----------
    instance, layout
        The image, and the layout that its header states.
    file
        Positioned at the first item, where the value of the pixel data starts.
    frame_numbers
        1-based.

    Raises
    ------
    StudyRejected
        ``truncated_pixels``, or ``unreadable_pixels`` if a codestream cannot be decoded or is not of the header's
        rows and columns: a decoder trusts the codestream, and 100 bytes of it can ask for gigabytes.
    """
    syntax = UID(instance.transfer_syntax)
    if syntax not in _PLUGINS:
        raise rejected(ReasonCode.UNREADABLE_PIXELS, instance, f"its transfer syntax {syntax} is not supported")
    value = _encapsulated_value(instance, file)
    decoder = get_decoder(syntax)
    options: dict[str, Any] = {
        "rows": layout.rows,
        "columns": layout.columns,
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        "photometric_interpretation": text(instance.header, "PhotometricInterpretation"),
        "pixel_representation": int(layout.signed),
        "bits_allocated": layout.bits_allocated,
        "bits_stored": layout.bits_stored,
        "pixel_keyword": "PixelData",
    }
    left, number = set(frame_numbers), 0
    try:
        for number, stream in enumerate(_streams(syntax, value, layout), start=1):
            if number not in left:
                continue
            if syntax != RLELossless:
                _check_size(instance, stream, layout)
            # by itself, so that what was checked is what is decoded
            single = encapsulate([stream], has_bot=False)
            frame, _ = decoder.as_array(single, index=0, raw=True, decoding_plugin=_PLUGINS[syntax], **options)
            yield frame.view(layout.dtype)
            left.discard(number)
            if not left:
                return
    except TruncatedStreamError as error:
        detail = f"the compressed data of frame {number + 1} has no end marker"
        raise rejected(ReasonCode.TRUNCATED_PIXELS, instance, detail) from error
    except (RuntimeError, ValueError, AttributeError, NotImplementedError, EOFError, LookupError) as error:
        raise rejected(ReasonCode.UNREADABLE_PIXELS, instance, f"its {syntax.name} data cannot be decoded") from error
    raise rejected(ReasonCode.UNREADABLE_PIXELS, instance, f"{len(left)} of its frames are missing")


def _streams(syntax: UID, value: bytes, layout: PixelLayout) -> Iterator[bytes]:
    if syntax == RLELossless:
        return rle_streams(value, layout.frames, layout.rows * layout.columns)
    return jpeg_streams(value, layout.frames)


def _check_size(instance: Instance, stream: bytes, layout: PixelLayout) -> None:
    try:
        size = codestream_size(stream)
    except CodestreamError as error:
        raise rejected(ReasonCode.UNREADABLE_PIXELS, instance, f"its codestream is damaged: {error}") from error
    if size != CodestreamSize(layout.rows, layout.columns, 1):
        raise rejected(
            ReasonCode.UNREADABLE_PIXELS,
            instance,
            f"its codestream holds {size.rows} x {size.columns} pixels of {size.components} components, "
            f"its header says {layout.rows} x {layout.columns}",
        )


def _encapsulated_value(instance: Instance, file: BinaryIO) -> bytes:
    """Return the items of compressed pixel data if they are complete; a decoder would silently fill in missing ones.

    Raises
    ------
    StudyRejected
        ``truncated_pixels`` if the file ends inside an item or before the delimiter.
    """
    start, size = file.tell(), os.fstat(file.fileno()).st_size
    while True:
        head = file.read(8)
        if len(head) < 8 or head[:4] not in (_ITEM, _DELIMITER):
            raise rejected(ReasonCode.TRUNCATED_PIXELS, instance, "the compressed data ends without its delimiter")
        if head[:4] == _DELIMITER:
            break
        end = file.tell() + int.from_bytes(head[4:], "little")
        if end > size:
            raise rejected(ReasonCode.TRUNCATED_PIXELS, instance, f"the file ends {end - size} bytes early")
        file.seek(end)
    end = file.tell()
    file.seek(start)
    return file.read(end - start)
