"""The compressed frames of a pixel data element, each without the padding behind its end.

References
----------
PS3.5 annex A.4 (items are padded to even length behind the end marker), annex G (RLE).
"""

from collections.abc import Iterator
from io import BytesIO

from pydicom.encaps import generate_fragments, generate_frames, parse_basic_offsets

_PADDING = b"\0\xff"
"""Writers fill an item with either; JPEG allows any number of FF before a marker that never follows here."""

_END_OF_IMAGE = b"\xff\xd9"
_RLE_HEADER, _RLE_SEGMENTS = 64, 15


class TruncatedStreamError(ValueError):
    """A codestream lacks its end marker."""


def jpeg_streams(value: bytes, frames: int) -> Iterator[bytes]:
    """Yield the JPEG, JPEG-LS, JPEG 2000 or HTJ2K codestream of each frame, up to its end marker.

    Parameters
    ----------
    value
        All items, the offset table's first.
    frames
        Number of Frames.

    Raises
    ------
    TruncatedStreamError
        If a codestream has no end marker, whatever fills the place behind it.
    ValueError
        If the items cannot be told apart.
    """
    for stream in _joined(value, frames):
        end = _unpadded(stream)
        if not end.endswith(_END_OF_IMAGE):
            raise TruncatedStreamError("no end marker")
        yield end


def rle_streams(value: bytes, frames: int, pixels: int) -> Iterator[bytes]:
    """Yield the RLE segments of each frame without the padding behind the last; ``pixels`` are those of one frame."""
    for stream in generate_frames(value, number_of_frames=frames):
        yield stream[: _end_of_rle(stream, pixels)] if len(stream) - len(_unpadded(stream)) > 1 else stream


def _joined(value: bytes, frames: int) -> Iterator[bytes]:
    """Join the items of each frame; without an offset table a frame ends where a codestream does.

    pydicom looks for the end marker in the last ten bytes of an item only.
    """
    buffer = BytesIO(value)
    offsets = parse_basic_offsets(buffer)
    fragments = [] if offsets or frames == 1 else list(generate_fragments(buffer))
    if len(fragments) <= frames:
        yield from generate_frames(value, number_of_frames=frames)
        return
    stream = b""
    for fragment in fragments:
        if not stream and not _unpadded(fragment):
            continue
        begun = max(len(stream) - 1, 0)  # the marker itself may be cut in two
        stream += fragment
        if _unpadded(stream[begun:]).endswith(_END_OF_IMAGE):
            yield stream
            stream = b""
    if stream:
        yield stream


def _unpadded(stream: bytes) -> bytes:
    return stream.rstrip(_PADDING)


def _end_of_rle(stream: bytes, pixels: int) -> int:
    """Find the byte behind the code that completes the last segment; the end if it is not complete, or more follows."""
    count = int.from_bytes(stream[:4], "little")
    if not 1 <= count <= _RLE_SEGMENTS:
        return len(stream)
    at, made = max(int.from_bytes(stream[4 * count : 4 * count + 4], "little"), _RLE_HEADER), 0
    while made < pixels and at < len(stream):
        code = stream[at]
        at += 1
        if code < 128:
            made, at = made + code + 1, at + code + 1
        elif code > 128:
            made, at = made + 257 - code, at + 1
    return at if made == pixels and not _unpadded(stream[at:]) else len(stream)
