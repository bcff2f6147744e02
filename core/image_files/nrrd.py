"""The header of an NRRD file (``.nrrd``), with its voxels behind it in the same file."""

import re
from typing import BinaryIO, Final

import numpy as np

from core.image_files.header_text import counts, numbers, one_of, read_lines, required
from core.image_files.stored_image import FileDefect, Packing, StoredImage, grid_of

DTYPES: Final = {
    name: dtype
    for dtype, names in {
        "i1": "signed char|int8|int8_t",
        "u1": "uchar|unsigned char|uint8|uint8_t",
        "i2": "short|short int|signed short|signed short int|int16|int16_t",
        "u2": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
        "i4": "int|signed int|int32|int32_t",
        "u4": "uint|unsigned int|uint32|uint32_t",
        "i8": "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t",
        "u8": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
        "f4": "float",
        "f8": "double",
    }.items()
    for name in names.split("|")
}
"""A voxel by its type's name."""
ORDERS: Final = {"little": "<", "big": ">"}
TO_LPS: Final = {
    "left-posterior-superior": (1.0, 1.0, 1.0),
    "LPS": (1.0, 1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0),
    "RAS": (-1.0, -1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0),
    "LAS": (1.0, -1.0, 1.0),
}
FIELDS: Final = frozenset(
    {
        "type",
        "dimension",
        "space",
        "sizes",
        "space directions",
        "kinds",
        "endian",
        "encoding",
        "space origin",
        "content",
        "space units",
        "centers",
        "centerings",
        "thicknesses",
        "units",
        "labels",
        "min",
        "max",
        "old min",
        "oldmin",
        "old max",
        "oldmax",
        "sample units",
        "measurement frame",
        "number",
        "block size",
        "blocksize",
        "axis mins",
        "axismins",
        "axis maxs",
        "axismaxs",
        "spacings",
        "space dimension",
        "data file",
        "datafile",
        "line skip",
        "lineskip",
        "byte skip",
        "byteskip",
    }
)
"""Every field of the format; a name that is none of them is damage."""
ELSEWHERE: Final = ("data file", "datafile", "line skip", "lineskip", "byte skip", "byteskip")
_MILLIMETRES: Final = frozenset({"mm", "millimeter", "millimeters", "???"})
_VECTOR: Final = re.compile(r"\(([^()]*)\)")


def read_header(file: BinaryIO) -> StoredImage:
    """Read and check the header; the file is left where the voxels begin.

    Raises
    ------
    FileDefect
        If it is not one 3d image of one value a voxel, placed in LPS, RAS or LAS, with its voxels in the file itself.

    References
    ----------
    http://teem.sourceforge.net/nrrd/format.html
    """
    fields = _fields(read_lines(file, lambda line: line == ""))
    if named := [name for name in ELSEWHERE if name in fields]:
        raise FileDefect(f"its header says '{named[0]}': the voxels must follow the header in the same file")
    counts(required(fields, "dimension"), 1, "dimension")
    if fields["dimension"].strip() != "3":
        raise FileDefect(f"it has {fields['dimension'].strip()} axes; expected a single 3d image")
    if any(unit not in _MILLIMETRES for unit in re.findall(r"[^\s\"]+", fields.get("space units", ""))):
        raise FileDefect("the field 'space units' of its header must be mm or missing: lengths are read as mm")
    kinds = fields.get("kinds", "").split()
    if any(kind not in ("domain", "space") for kind in kinds) or len(kinds) not in (0, 3):
        raise FileDefect("its axes (kinds) are not three of space; expected one value a voxel")
    dtype = np.dtype(DTYPES.get(required(fields, "type"), "V"))
    if dtype.itemsize == 0:
        raise FileDefect("the type of its voxels is not one that is read: whole numbers, float or double")
    if dtype.itemsize > 1:
        dtype = np.dtype(ORDERS[one_of(required(fields, "endian"), tuple(ORDERS), "endian")] + dtype.str[1:])
    encoding = one_of(required(fields, "encoding"), ("raw", "gzip", "gz"), "encoding")
    size = counts(required(fields, "sizes"), 3, "sizes")
    to_lps = np.array(TO_LPS[one_of(required(fields, "space"), tuple(TO_LPS), "space")])
    steps = _vectors(required(fields, "space directions"), 3, "space directions")
    origin = _vectors(required(fields, "space origin"), 1, "space origin")[0]
    grid = grid_of(size, to_lps[:, None] * np.array(steps).T, (to_lps * origin).tolist())
    return StoredImage(grid, dtype, file.tell(), Packing.RAW if encoding == "raw" else Packing.GZIP)


def _fields(lines: list[str]) -> dict[str, str]:
    if re.fullmatch(r"NRRD000[1-5]", lines[0]) is None:
        raise FileDefect("it is not NRRD: its first line is not that of one")
    fields: dict[str, str] = {}
    for line in lines[1:-1]:
        if line.startswith("#") or ":=" in line:
            continue  # a comment, or a pair of one's own that means nothing to readers
        name, colon, value = line.partition(": ")
        if not colon or name not in FIELDS:
            raise FileDefect("its header has a line that is no field of NRRD")
        if name in fields:
            raise FileDefect(f"its header has the field '{name}' twice")
        fields[name] = value.strip()
    return fields


def _vectors(text: str, count: int, field: str) -> list[list[float]]:
    found = _VECTOR.findall(text)
    if len(found) != count or _VECTOR.sub("", text).strip():
        raise FileDefect(f"the field '{field}' of its header must be {count} vector(s) of three numbers")
    return [numbers(vector.replace(",", " "), 3, field) for vector in found]
