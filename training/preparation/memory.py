"""The memory that the preparation of a case is predicted to take: a line through what was measured.

Measured with nnU-Net 2.8.1 (``python -m bench.preparation``): a process that prepares cases of 26.2 million voxels
resampled to 16.8 million takes 1273 MiB at its largest, for which the line gives 1374.
"""

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

BASE_BYTES = 600 * 2**20
"""A process that has prepared nothing: Python, torch, nnU-Net."""
BYTES_PER_VOXEL = 22.0
BYTES_PER_TARGET_VOXEL = 14.0


def token_bytes(image: Path, spacing: Sequence[float], channels: int) -> int:
    """Predict the memory of one case in bytes.

    Parameters
    ----------
    image
        Its first channel, of which the header is read where it can be.
    spacing
        Of the configuration in mm, ``(slice, row, column)`` after the plans' transposition, or of the plane alone.
    channels
        Of the image.
    """
    shape, own = _grid(image)
    voxels = prod(shape)
    extent = sorted(size * step for size, step in zip(shape, own, strict=True))
    # Which axis is which does not matter to the product, unless only two are resampled.
    target = voxels if len(spacing) == 2 else prod(extent) / prod(spacing)
    return int(BASE_BYTES + channels * (voxels * BYTES_PER_VOXEL + target * BYTES_PER_TARGET_VOXEL))


def _grid(path: Path) -> tuple[tuple[int, ...], tuple[float, ...]]:
    import SimpleITK as sitk

    reader: Any = sitk.ImageFileReader()  # type: ignore[no-untyped-call]
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return (1, 1, 1), (1.0, 1.0, 1.0)  # a kind of file that SimpleITK does not read; nnU-Net's own reader may
    return reader.GetSize(), reader.GetSpacing()
