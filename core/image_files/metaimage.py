"""The header of a MetaImage file (``.mha``), with its voxels behind it in the same file."""

from typing import BinaryIO, Final

import numpy as np

from core.image_files.header_text import counts, numbers, one_of, read_lines, required
from core.image_files.stored_image import FileDefect, Packing, StoredImage, grid_of

DTYPES: Final = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
"""A voxel by the element's type; the size of MET_LONG differs between systems."""
TRUTH: Final = ("True", "False")
SAME: Final = {
    "BinaryDataByteOrderMSB": ("ElementByteOrderMSB",),
    "TransformMatrix": ("Orientation", "Rotation"),
    "Offset": ("Origin", "Position"),
}
"""Other names of a field; one of them must be there, and only one."""
AS_STATED: Final = {
    "HeaderSize": "0",
    "ElementNumberOfChannels": "1",
    "ElementToIntensityFunctionSlope": "1",
    "ElementToIntensityFunctionOffset": "0",
}
"""Fields that would change where the voxels begin or what they mean, and the only value that is read."""


def read_header(file: BinaryIO) -> StoredImage:
    """Read and check the header; the file is left where the voxels begin.

    Raises
    ------
    FileDefect
        If it is not one 3d image of one value a voxel, with its voxels in the file itself.

    References
    ----------
    https://itk.org/Wiki/ITK/MetaIO/Documentation
    """
    fields = _fields(read_lines(file, lambda line: line.startswith("ElementDataFile")))
    if fields.get("ElementDataFile") != "LOCAL":
        raise FileDefect("its header names another file for the voxels; expected ElementDataFile = LOCAL (.mha)")
    if required(fields, "ObjectType") != "Image" or required(fields, "NDims") != "3":
        raise FileDefect("it is not a single 3d image (ObjectType, NDims)")
    for name, expected in AS_STATED.items():
        if fields.get(name, expected) != expected:
            raise FileDefect(f"the field '{name}' of its header must be {expected} or missing")
    one_of(fields.get("DistanceUnits", "mm"), ("mm", "?"), "DistanceUnits")
    one_of(required(fields, "BinaryData"), ("True",), "BinaryData")
    order = ">" if one_of(_either(fields, "BinaryDataByteOrderMSB"), TRUTH, "BinaryDataByteOrderMSB") == "True" else "<"
    is_packed = one_of(required(fields, "CompressedData"), TRUTH, "CompressedData") == "True"
    dtype = DTYPES.get(required(fields, "ElementType"))
    if dtype is None:
        raise FileDefect("the ElementType of its voxels is not one that is read: whole numbers, MET_FLOAT, MET_DOUBLE")
    size = counts(required(fields, "DimSize"), 3, "DimSize")
    spacing = np.array(numbers(required(fields, "ElementSpacing"), 3, "ElementSpacing"))
    # An axis a row of the text: the transpose of the columns that a direction matrix has.
    axes = np.array(numbers(_either(fields, "TransformMatrix"), 9, "TransformMatrix")).reshape(3, 3).T
    if (spacing <= 0.0).any() or np.abs(axes.T @ axes - np.eye(3)).max() > 1e-3:
        raise FileDefect("its ElementSpacing or TransformMatrix is not that of a right-angled grid")
    grid = grid_of(size, axes * spacing, numbers(_either(fields, "Offset"), 3, "Offset"))
    packed = counts(required(fields, "CompressedDataSize"), 1, "CompressedDataSize")[0] if is_packed else None
    return StoredImage(grid, np.dtype(order + dtype), file.tell(), Packing.ZLIB if is_packed else Packing.RAW, packed)


def _fields(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        name, sign, value = line.partition("=")
        if not sign:
            raise FileDefect("its header has a line that is no field of MetaImage")
        if name.strip() in fields:
            raise FileDefect(f"its header has the field '{name.strip()}' twice")
        fields[name.strip()] = value.strip()
    return fields


def _either(fields: dict[str, str], name: str) -> str:
    given = [other for other in (name, *SAME[name]) if other in fields]
    if len(given) > 1:
        raise FileDefect(f"its header states '{given[0]}' and '{given[1]}', which are the same")
    return required(fields, given[0] if given else name)
