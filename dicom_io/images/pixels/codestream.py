"""Rows and columns that a JPEG, JPEG-LS, JPEG 2000 or HTJ2K codestream will decode to, before anything decodes it."""

from dataclasses import dataclass

_SOI = b"\xff\xd8"
_SOC_SIZ = b"\xff\x4f\xff\x51"
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "
_CODESTREAM_BOX = b"jp2c"

# start of frame, by ITU-T T.81 table B.1 and T.87; the three between are tables and arithmetic conditioning
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


class CodestreamError(ValueError):
    """The codestream does not say how large its image is; the text says why."""


@dataclass(frozen=True)
class CodestreamSize:
    """Size of the image that a codestream decodes to."""

    rows: int
    columns: int
    components: int


def codestream_size(stream: bytes) -> CodestreamSize:
    """Read the size from the first header of a codestream.

    Raises
    ------
    CodestreamError
        If there is none, or components are subsampled, which is no use for images of one component.

    References
    ----------
    ITU-T T.81 annex B (JPEG), T.87 annex C (JPEG-LS), T.800 annex A.5.1 (SIZ), annex I (boxes).
    """
    if stream.startswith(_JP2_SIGNATURE):  # PS3.5 A.4.4 forbids the file format around it; some writers add it
        stream = _unboxed(stream)
    if stream.startswith(_SOC_SIZ):
        return _jpeg_2000_size(stream)
    if stream.startswith(_SOI):
        return _jpeg_size(stream)
    raise CodestreamError("it begins with no JPEG or JPEG 2000 marker")


def _jpeg_size(stream: bytes) -> CodestreamSize:
    position = 2
    while position + 4 <= len(stream):
        if stream[position] != 0xFF:
            raise CodestreamError("a marker is missing")
        marker = stream[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in (_START_OF_SCAN, _END_OF_IMAGE):
            break
        if marker in _FRAME_MARKERS:
            if position + 10 > len(stream):
                break
            rows, columns = _number(stream, position + 5, 2), _number(stream, position + 7, 2)
            return CodestreamSize(rows, columns, stream[position + 9])
        position += 2 + _number(stream, position + 2, 2)
    raise CodestreamError("it has no frame header")


def _jpeg_2000_size(stream: bytes) -> CodestreamSize:
    if len(stream) < 45:
        raise CodestreamError("its SIZ segment is cut short")
    right, bottom, left, top = (_number(stream, at, 4) for at in (8, 12, 16, 20))
    if stream[43:45] != b"\x01\x01":
        raise CodestreamError("its components are subsampled")
    return CodestreamSize(bottom - top, right - left, _number(stream, 40, 2))


def _unboxed(stream: bytes) -> bytes:
    position = 0
    while position + 8 <= len(stream):
        length, kind = _number(stream, position, 4), stream[position + 4 : position + 8]
        if kind == _CODESTREAM_BOX:
            return stream[position + (16 if length == 1 else 8) :]
        if length < 8:
            break
        position += length
    raise CodestreamError("its JP2 boxes hold no codestream")


def _number(stream: bytes, at: int, size: int) -> int:
    return int.from_bytes(stream[at : at + size], "big")
