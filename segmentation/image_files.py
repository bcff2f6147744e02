"""Images and masks in files (NIfTI, NRRD, MHA), for golden cases and measurements; studies come as DICOM."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigInvalid
from core.volume import Geometry, Volume, stack_channels

HEADER_TOLERANCE = 1e-2
"""Distance in mm within which two files lie on one grid: NIfTI headers are float32."""


def read_image(paths: Sequence[Path], channels: int) -> Volume:
    """Read one file per channel as a volume without DICOM's identifiers.

    Parameters
    ----------
    paths
        One file per channel, in channel order, in any format that SimpleITK reads (NIfTI, NRRD, MHA).
    channels
        Number of channels that the model needs.

    Returns
    -------
    Volume
        float32 ``(channel, slice, row, column)`` in the unit of the files; all UIDs are empty.

    Raises
    ------
    ConfigInvalid
        If a file cannot be read, the grids differ, or the number of files is not ``channels``.
    """
    volumes = []
    for path in paths:
        array, geometry = read_array(path)
        none = ("",) * geometry.shape[0]  # a file has no SOP instances
        volumes.append(Volume(array[None].astype(np.float32), geometry, none, (1,) * geometry.shape[0], ("",), ""))
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
    ConfigInvalid
        If the file cannot be read, or the mask is not on the image's grid (``HEADER_TOLERANCE``).
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
    ConfigInvalid
        If the file cannot be read, or is not a single 3d image.
    """
    import SimpleITK

    image: Any  # SimpleITK's methods carry no types
    try:
        # What a file is called says what it is: content that says otherwise is not believed.
        is_nifti = path.name.endswith((".nii", ".nii.gz"))
        image = SimpleITK.ReadImage(str(path), imageIO="NiftiImageIO" if is_nifti else "")
    except RuntimeError as error:
        raise ConfigInvalid(f"{path}: cannot be read: {str(error).splitlines()[-1].strip()}") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise ConfigInvalid(f"{path}: expected a single 3d image with one value per voxel")
    x, y, z = image.GetSpacing()
    array = SimpleITK.GetArrayFromImage(image)
    geometry = Geometry(array.shape, (z, y, x), image.GetOrigin(), np.array(image.GetDirection()))
    return array, geometry
