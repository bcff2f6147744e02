"""Image files of every kind: whole ones in each format, and headers with one thing changed."""

import gzip
import struct
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

SIZE = (7, 6, 5)
"""Voxels along x, y, z."""
SPACING = (0.9, 1.25, 3.0)
ORIGIN = (-20.5, 11.0, -130.25)
TURNED = (0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
"""A direction that is no identity."""
FORMS = ("raw.nii", "packed.nii.gz", "raw.nrrd", "packed.nrrd", "raw.mha", "packed.mha")
"""Each format that is read, with and without compression."""

Change = Callable[[bytes], bytes]


def voxels(seed: int = 0, kind: Any = np.int16) -> NDArray[Any]:
    """Values of a CT as (slice, row, column), drawn anew by seed."""
    drawn = np.random.default_rng(seed).integers(-1000, 2000, SIZE[::-1])
    return (np.abs(drawn) % 200 if np.dtype(kind).kind == "u" else drawn).astype(kind)


def write_form(path: Path, array: NDArray[Any]) -> Path:
    """Write an array by SimpleITK; a name with ``packed`` is compressed."""
    image: Any = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    image.SetDirection(TURNED)
    sitk.WriteImage(image, str(path), useCompression="packed" in path.name)
    return path


def put(at: int, form: str, *values: float) -> Change:
    """Put numbers, little endian, into a header."""

    def change(content: bytes) -> bytes:
        changed = bytearray(content)
        struct.pack_into(f"<{form}", changed, at, *values)
        return bytes(changed)

    return change


def both(*changes: Change) -> Change:
    """Make several changes."""

    def change(content: bytes) -> bytes:
        for one in changes:
            content = one(content)
        return content

    return change


def swap(old: bytes, new: bytes) -> Change:
    """Put one text in the place of another, which must be there."""

    def change(content: bytes) -> bytes:
        assert content.count(old) == 1, old
        return content.replace(old, new)

    return change


def repacked(change: Change) -> Change:
    """Change what a gzip stream holds."""
    return lambda content: gzip.compress(change(gzip.decompress(content)))


def members(content: bytes, cuts: Sequence[int]) -> bytes:
    """Pack content as several gzip members, as parallel packers do."""
    edges = [0, *cuts, len(content)]
    return b"".join(gzip.compress(content[a:b]) for a, b in pairwise(edges))
