"""The voxels of a file: as many as the header says, and unpacked whole where they are packed, with a right checksum."""

import gzip
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from core.image_files.stored_image import FileDefect, Packing, StoredImage

MOST_VOXELS: Final = 1 << 31
"""Largest image that is read, 8.6 GB in float32: more is no scan, and no machine's memory."""
PADDING: Final = 4096
"""Most bytes of zeros behind the voxels that are a writer's padding to the end of a block."""
MOST_PACKED: Final = 1040
"""Most bytes that one byte of deflate unpacks to (1032), with a margin."""
_BLOCK: Final = 1 << 20


def check_content(path: Path, stored: StoredImage) -> None:
    """Check that a file holds the voxels that its header states, all of them finite, and nothing else.

    Nothing is kept: a stream that unpacks to more than the header states is left where that shows.

    Raises
    ------
    FileDefect
        If it is shorter, longer by more than zeros, its compressed stream is damaged, or a voxel is no number.
    """
    if math.prod(stored.geometry.shape) > MOST_VOXELS:
        sizes = " x ".join(map(str, stored.geometry.shape))
        raise FileDefect(f"its header states {sizes} voxels; at most {MOST_VOXELS} are read")
    with path.open("rb") as file:
        length = file.seek(0, 2)
        start = 0 if stored.packing is Packing.GZIP_FILE else stored.offset
        wanted = stored.content_bytes
        if stored.packing is Packing.RAW:
            _check_length(length - start, wanted)
        elif (length - start) * MOST_PACKED < wanted:
            raise FileDefect(f"its header states {wanted} bytes, more than {length - start} compressed bytes can hold")
        file.seek(start)
        if stored.packing is Packing.RAW:
            blocks = _blocks(file, wanted)
        elif stored.packing is Packing.ZLIB:
            blocks = _zlib_blocks(file, wanted, stored.packed_bytes)
        else:
            blocks = _gzip_blocks(file, stored.offset - start, wanted)
        _check_finite(blocks, stored.dtype)


def _check_finite(blocks: Iterator[bytes], dtype: np.dtype[Any]) -> None:
    """Look at every voxel: ITK's reader of NIfTI gives 0 for what is no number, and says nothing."""
    odd, rest = 0, b""
    for block in blocks:
        if dtype.kind == "f":
            whole = rest + block
            count = len(whole) // dtype.itemsize
            odd += count - int(np.isfinite(np.frombuffer(whole, dtype, count)).sum())
            rest = whole[count * dtype.itemsize :]
    if odd:
        raise FileDefect(f"{odd} of its voxels are not finite numbers (NaN or infinite)")


def _check_length(found: int, wanted: int) -> None:
    if found < wanted:
        raise FileDefect(f"the file is cut short: {max(0, found)} of {wanted} bytes of voxels are there; copy it again")


def _check_rest(rest: bytes) -> None:
    if len(rest) > PADDING or rest.strip(b"\0"):
        raise FileDefect("more follows the voxels than the header states: header and voxels do not belong together")


def _blocks(file: BinaryIO | gzip.GzipFile, wanted: int) -> Iterator[bytes]:
    found = 0
    while found < wanted and (block := file.read(min(_BLOCK, wanted - found))):
        found += len(block)
        yield block
    _check_length(found, wanted)
    # Reading on to the end has a gzip stream's checksum looked at.
    _check_rest(file.read(PADDING + 1))


def _gzip_blocks(file: BinaryIO, offset: int, wanted: int) -> Iterator[bytes]:
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            unpacked.seek(offset)
            yield from _blocks(unpacked, wanted)
    except EOFError as error:
        raise FileDefect("its gzip stream is cut short; copy the file again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise FileDefect("its gzip stream is damaged (its bytes do not fit their checksum); copy it again") from error


def _zlib_blocks(file: BinaryIO, wanted: int, stated: int | None) -> Iterator[bytes]:
    unpacker, found, start = zlib.decompressobj(), 0, file.tell()
    try:
        while not unpacker.eof and (packed := unpacker.unconsumed_tail or file.read(_BLOCK)):
            block = unpacker.decompress(packed, _BLOCK)
            found += len(block)
            if found > wanted:
                raise FileDefect("its zlib stream holds more voxels than the header states")
            yield block
    except zlib.error as error:
        raise FileDefect("its zlib stream is damaged (its bytes do not fit their checksum); copy it again") from error
    if not unpacker.eof:
        raise FileDefect("its zlib stream is cut short; copy the file again")
    _check_length(found, wanted)
    file.seek(-len(unpacker.unused_data), 1)
    if file.tell() - start != stated:
        raise FileDefect(f"its zlib stream has {file.tell() - start} bytes, and CompressedDataSize is {stated}")
    _check_rest(file.read(PADDING + 1))
