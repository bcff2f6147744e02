"""The files of a case as nnU-Net reads them, and the hashes by which they are known."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.volume import Geometry
from training.datasets.case import LoadedCase
from training.datasets.linking import take
from training.datasets.lock import LockedFile

_COMPRESSION = 1


def write_case(case: LoadedCase, images: list[Path], label: Path) -> tuple[tuple[LockedFile, ...], LockedFile]:
    """Write the channels and the mask of a case, or link the files that hold just them.

    Parameters
    ----------
    images, label
        Where they go; one image a channel.
    """
    locked = []
    for number, target in enumerate(images):
        _put(target, case.image_files[number] if case.image_files else None, case.channels[number], case.geometry)
        locked.append(LockedFile(sha256=sha256_of(target), content=content_of(case.channels[number])))
    _put(label, case.label_file, case.composed.labels, case.geometry)
    return tuple(locked), LockedFile(sha256=sha256_of(label), content=content_of(case.composed.labels))


def _put(target: Path, source: Path | None, array: NDArray[Any], grid: Geometry) -> None:
    if source is not None:
        take(source, target)
    else:
        _write(target, smallest(array) if array.dtype.kind == "f" else array, grid)


def _write(path: Path, array: NDArray[Any], grid: Geometry) -> None:
    import SimpleITK as sitk

    image: Any = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing([float(mm) for mm in grid.spacing[::-1]])
    image.SetOrigin([float(mm) for mm in grid.origin])
    image.SetDirection(grid.direction.ravel().tolist())
    sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=_COMPRESSION)


def smallest(array: NDArray[np.float32]) -> NDArray[Any]:
    """Return whole numbers of 16 bits as such: half the size, and the same float32 when they are read."""
    low, high = float(array.min()), float(array.max())
    limits = np.iinfo(np.int16)
    if low < limits.min or high > limits.max:
        return array
    whole = array.astype(np.int16)
    return whole if np.array_equal(whole, array) else array


def content_of(array: NDArray[Any]) -> str:
    """Return the SHA-256 of shape and voxels, in one type whatever a file's own: float32, masks uint16."""
    canonical = array.astype("<f4" if array.dtype.kind == "f" else "<u2", copy=False)
    digest = hashlib.sha256(repr(tuple(array.shape)).encode())
    digest.update(np.ascontiguousarray(canonical).data)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
