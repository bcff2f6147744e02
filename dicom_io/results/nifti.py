"""The mask as a NIfTI file, for work outside the PACS."""

from pathlib import Path
from typing import Any

import numpy as np

from core.label_map import LabelMap


def write_nifti(path: Path, label_map: LabelMap, notes: str = "") -> None:
    """Write a label map as NIfTI, label values as they are.

    SimpleITK turns the geometry from DICOM's LPS into the RAS that NIfTI's affines are in.

    Parameters
    ----------
    path
        Ends in ``.nii`` or ``.nii.gz``.
    label_map
        The mask, with its geometry in LPS mm.
    notes
        Text of its header (``descrip``), at most 79 characters of ASCII.
    """
    if not label_map.geometry.is_regular:
        raise ValueError("NIfTI holds a regular grid alone, not an irregular stack")
    import SimpleITK as sitk  # its documentation's own name

    image: Any = sitk.GetImageFromArray(np.ascontiguousarray(label_map.array))  # its setters carry no types
    grid = label_map.geometry
    image.SetSpacing(grid.spacing[::-1])
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction.ravel().tolist())
    if notes:
        image.SetMetaData("ITK_FileNotes", notes)
    sitk.WriteImage(image, str(path), useCompression=path.suffix == ".gz")
