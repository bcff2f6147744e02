"""The mask as a NIfTI file, for those who work outside the PACS."""

from pathlib import Path

import numpy as np

from core.label_map import LabelMap


def write_nifti(path: Path, label_map: LabelMap) -> None:
    """Write a label map as NIfTI, label values as they are.

    SimpleITK turns the geometry from DICOM's LPS into the RAS that NIfTI's affines are in.

    Parameters
    ----------
    path
        Ends in ``.nii`` or ``.nii.gz``.
    label_map
        The mask, with its geometry in LPS mm.
    """
    import SimpleITK as sitk  # its documentation's own name

    image = sitk.GetImageFromArray(np.ascontiguousarray(label_map.array))
    grid = label_map.geometry
    image.SetSpacing(grid.spacing[::-1])  # type: ignore[no-untyped-call]  # SimpleITK's setters have no annotations
    image.SetOrigin(grid.origin)  # type: ignore[no-untyped-call]
    image.SetDirection(grid.direction.ravel().tolist())  # type: ignore[no-untyped-call]
    sitk.WriteImage(image, str(path), useCompression=path.suffix == ".gz")
