"""The one reader of images and masks in files: what the header states is checked first, then the file, then ITK reads.

ITK's readers take what a damaged file still gives: missing voxels are zeros, a broken gzip stream ends where it breaks.
"""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigInvalid, UnreadableImage
from core.image_files import metaimage, nifti, nrrd
from core.image_files.content import check_content
from core.image_files.stored_image import FileDefect, StoredImage, nearly
from core.volume import Geometry, Volume, stack_channels

READERS: Final = {
    ".nii.gz": "NiftiImageIO",
    ".nii": "NiftiImageIO",
    ".nrrd": "NrrdImageIO",
    ".mha": "MetaImageIO",
}
"""ITK's reader by a file's ending; content that is of another format is not believed."""
HEADER_TOLERANCE: Final = 1e-2
"""Distance in mm within which two files lie on one grid: NIfTI headers are float32."""
GZIP_MAGIC: Final = b"\x1f\x8b"
CHANGED: Final = "it was changed while it was read"


def read_image(paths: Sequence[Path], channels: int) -> Volume:
    """Read one file per channel as a volume without DICOM's identifiers.

    Parameters
    ----------
    paths
        One file per channel, in channel order: NIfTI, NRRD or MetaImage (``READERS``).
    channels
        Number of channels that the model needs.

    Returns
    -------
    Volume
        float32 ``(channel, slice, row, column)`` in the unit of the files; all UIDs are empty.

    Raises
    ------
    UnreadableImage
        As :func:`read_array`, and if a value does not fit into float32.
    ConfigInvalid
        If the grids differ, or the number of files is not ``channels``.
    """
    volumes = []
    for path in paths:
        array, geometry = read_array(path)
        with np.errstate(over="ignore"):
            values = array.astype(np.float32)
        if not np.isfinite(values).all():
            raise UnreadableImage(path, "it has values beyond those of 32-bit floats")
        none = ("",) * geometry.shape[0]  # a file has no SOP instances
        volumes.append(Volume(values[None], geometry, none, (1,) * geometry.shape[0], ("",), ""))
    if len(volumes) != channels:
        raise ConfigInvalid(f"the model needs {channels} image(s), one per channel, but {len(volumes)} were given")
    try:
        return stack_channels(volumes)
    except ValueError as error:
        raise ConfigInvalid(f"the images of the case cannot be combined: {error}") from error


def read_mask(path: Path, grid: Geometry) -> NDArray[Any]:
    """Read a mask ``(slice, row, column)`` in the file's own type.

    Parameters
    ----------
    grid
        The grid of the image, on which the mask has to lie.

    Raises
    ------
    UnreadableImage
        As :func:`read_array`.
    ConfigInvalid
        If the mask is not on the image's grid (``HEADER_TOLERANCE``).
    """
    mask, geometry = read_array(path)
    if not geometry.same_grid(grid, HEADER_TOLERANCE):
        raise ConfigInvalid(f"{path}: the mask does not lie on the image's grid (shape, spacing, position)")
    return mask


def read_array(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Read the voxels of one image file as they are stored, and their grid.

    Returns
    -------
    tuple
        The array ``(slice, row, column)`` in the file's own type and unit, and its geometry (LPS, mm).

    Raises
    ------
    UnreadableImage
        If the file is not whole, is not a single 3d image that lies in one place, or holds a value that is no number.
    """
    import SimpleITK as sitk

    image = read_itk(path)
    array: NDArray[Any] = sitk.GetArrayFromImage(image)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UnreadableImage(path, "its slope and intercept make values beyond those of floats")
    return array, _geometry(image)


def read_itk(path: Path) -> Any:
    """Read one image file as ITK's image, which carries no types.

    Raises
    ------
    UnreadableImage
        If the file is not whole, or is not a single 3d image that lies in one place.
    """
    import SimpleITK as sitk

    with _naming(path):
        stamp = _stamp(path)
        stored = _stored(path)
        check_content(path, stored)
        image: Any = sitk.ReadImage(str(path), imageIO=READERS[_ending(path)])
        # Two readers of one header: where they do not see the same, neither is believed.
        _check_agrees(image, stored)
        if _stamp(path) != stamp:
            raise FileDefect(CHANGED)
    return image


def read_grid(path: Path) -> Geometry:
    """Read the grid of an image file from its header, which is checked; no voxel is read, and no memory reserved.

    Raises
    ------
    UnreadableImage
        If the header is not that of a single 3d image that lies in one place.
    """
    with _naming(path):
        stored = _stored(path)
        reader = _header_reader(path)
        _check_agrees(reader, stored)
    return _geometry(reader)


def read_notes(path: Path) -> str:
    """Read the text (``descrip``) of a NIfTI file's header; empty if there is none, or the file is not NIfTI."""
    try:
        reader = _header_reader(path)
    except (RuntimeError, FileDefect):
        return ""
    return str(reader.GetMetaData("descrip")) if reader.HasMetaDataKey("descrip") else ""


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except FileDefect as error:
        raise UnreadableImage(path, str(error)) from error
    except RuntimeError as error:  # what SimpleITK raises
        raise UnreadableImage(path, "its header is damaged, or of a kind that is not read") from error
    except OSError as error:
        raise UnreadableImage(path, f"it cannot be opened: {error.strerror}") from error


def _stored(path: Path) -> StoredImage:
    ending = _ending(path)
    with path.open("rb") as file:
        if ending == ".nii.gz":
            return _packed_nifti(file)
        if ending == ".nii":
            return nifti.read_header(file, is_gzip=False)
        return nrrd.read_header(file) if ending == ".nrrd" else metaimage.read_header(file)


def _packed_nifti(file: BinaryIO) -> StoredImage:
    if file.read(2) != GZIP_MAGIC:
        raise FileDefect("its name ends in .gz, and it is not a gzip file")
    file.seek(0)
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            return nifti.read_header(cast("BinaryIO", unpacked), is_gzip=True)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileDefect("its gzip stream is damaged or cut short at its beginning; copy it again") from error


def _ending(path: Path) -> str:
    ending = next((ending for ending in READERS if path.name.endswith(ending)), None)
    if ending is None:
        raise FileDefect(f"its name must end in one of {', '.join(READERS)}: one file with header and voxels")
    return ending


def _header_reader(path: Path) -> Any:
    import SimpleITK as sitk

    reader: Any = sitk.ImageFileReader()  # type: ignore[no-untyped-call]  # published without types
    reader.SetImageIO(READERS.get(_ending(path), ""))
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


def _check_agrees(image: Any, stored: StoredImage) -> None:
    if len(image.GetSize()) != 3:
        raise FileDefect("it is not a single 3d image")
    # ITK may take the one of a NIfTI's two forms that was not taken here.
    if not _geometry(image).same_grid(stored.geometry, HEADER_TOLERANCE + nearly(stored.geometry)):
        raise FileDefect("two readers of its header do not agree where the image lies")


def _geometry(image: Any) -> Geometry:
    x, y, z = image.GetSpacing()
    columns, rows, slices = image.GetSize()
    return Geometry((slices, rows, columns), (z, y, x), image.GetOrigin(), np.array(image.GetDirection()))


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
