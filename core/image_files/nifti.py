"""The header of a NIfTI-1 file: all that decides where its voxels lie, what they mean and how they lie in the patient.

A file that tools read in two ways is refused: they and the reader of the mask would place it differently.
"""

import math
import struct
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from core.image_files.stored_image import FileDefect, Packing, StoredImage, grid_of, nearly
from core.volume import Geometry

HEADER_BYTES: Final = 348
FIRST_VOXEL: Final = 352
"""Smallest offset of the voxels: the header, and the four bytes that tell of extensions."""
MOST_OF_EXTENSIONS: Final = 16 << 20
"""Bytes of extensions before the voxels; tools write some kilobytes, and no memory is reserved for them."""
DTYPES: Final = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
"""A voxel by its datatype."""
OTHER_TYPES: Final = {
    0: "unknown",
    1: "single bits",
    32: "complex numbers",
    128: "colours (RGB)",
    1536: "128-bit floats",
    1792: "complex numbers",
    2048: "complex numbers",
    2304: "colours (RGBA)",
}
IMAGE_INTENTS: Final = (0, 1002, 1003)
"""Intents of an image or a mask: none, labels, labels of NeuroNames."""
UNITS: Final = {1: "metres", 3: "micrometres"}
LEAST_SLOPE: Final = float(np.finfo(np.float64).eps)
"""Smallest slope that ITK applies: it takes a smaller one for none."""
LAST_FORM: Final = 5
"""Largest code of a qform or sform."""
TO_LPS: Final = np.diag([-1.0, -1.0, 1.0])


def read_header(file: BinaryIO, *, is_gzip: bool) -> StoredImage:
    """Read and check the header.

    Parameters
    ----------
    file
        What the file holds, unpacked, from its beginning.
    is_gzip
        Whether the file itself is a gzip stream.

    Raises
    ------
    FileDefect
        If it is not one 3d image of one value a voxel, placed in one way, in mm.

    References
    ----------
    nifti1.h, https://nifti.nimh.nih.gov/nifti-1
    """
    header = file.read(FIRST_VOXEL)
    if len(header) < FIRST_VOXEL:
        raise FileDefect(f"the file ends inside its header, after {len(header)} of {FIRST_VOXEL} bytes")
    order = _byte_order(header)

    def numbers(form: str, at: int) -> tuple[float, ...]:
        return struct.unpack_from(order + form, header, at)

    dtype = _dtype(order, *struct.unpack_from(order + "2h", header, 70))
    size = _size(struct.unpack_from(order + "8h", header, 40))
    offset = _offset(numbers("f", 108)[0], has_extensions=header[348] != 0)
    _check_scale(*numbers("2f", 112))
    _check_meaning(struct.unpack_from(order + "h", header, 68)[0], header[123])
    qfac, *spacing = numbers("4f", 76)
    codes = struct.unpack_from(order + "2h", header, 252)
    quaternion, rows = numbers("6f", 256), np.array(numbers("12f", 280)).reshape(3, 4)
    affine = _affine(size, codes, _q_affine(qfac, spacing, quaternion) if codes[0] else None, rows)
    stated = np.linalg.norm(affine[:, :3], axis=0)
    if not np.allclose(stated, spacing, rtol=1e-3, atol=1e-4):
        raise FileDefect("its header states one spacing in pixdim and another in its qform or sform")
    return StoredImage(_grid(size, affine), dtype, offset, Packing.GZIP_FILE if is_gzip else Packing.RAW)


def _byte_order(header: bytes) -> str:
    sizes = {order: struct.unpack_from(order + "i", header)[0] for order in "<>"}
    order = next((order for order, size in sizes.items() if size == HEADER_BYTES), None)
    magic = header[344:348]
    if order is None and 540 in sizes.values():
        raise FileDefect("it is NIfTI-2; expected NIfTI-1, which every tool writes")
    if magic == b"ni1\0":
        raise FileDefect("its voxels lie in another file (.img); expected one file (.nii)")
    if order is None or magic != b"n+1\0":
        raise FileDefect("it is not NIfTI: the first bytes are not those of a NIfTI-1 header")
    return order


def _dtype(order: str, datatype: int, bitpix: int) -> np.dtype[Any]:
    if datatype not in DTYPES:
        found = OTHER_TYPES.get(datatype, f"of the unknown datatype {datatype}")
        raise FileDefect(f"its voxels are {found}; expected one number a voxel")
    dtype = np.dtype(order + DTYPES[datatype])
    if bitpix != 8 * dtype.itemsize:
        raise FileDefect(f"its header states {bitpix} bits a voxel, where its datatype has {8 * dtype.itemsize}")
    return dtype


def _size(dim: tuple[int, ...]) -> tuple[int, int, int]:
    count, sizes = dim[0], dim[1 : dim[0] + 1]
    # Converters write a fourth axis of length 1; it is one image all the same.
    if not 3 <= count <= 7 or any(size != 1 for size in sizes[3:]):
        sizes_told = " x ".join(map(str, sizes)) if 1 <= count <= 7 else f"{count} axes"
        raise FileDefect(f"it holds {sizes_told}; expected a single 3d image")
    return sizes[0], sizes[1], sizes[2]


def _offset(stated: float, *, has_extensions: bool) -> int:
    if not (math.isfinite(stated) and stated >= FIRST_VOXEL and stated == int(stated)):
        raise FileDefect(f"its header states that the voxels begin at byte {stated:g}; expected {FIRST_VOXEL} or more")
    if stated > FIRST_VOXEL + MOST_OF_EXTENSIONS:
        raise FileDefect(
            f"its header states that the voxels begin at byte {stated:.0f}; expected at most "
            f"{MOST_OF_EXTENSIONS // 2**20} MiB of extensions before them"
        )
    if has_extensions and stated < FIRST_VOXEL + 16:
        raise FileDefect("its header tells of an extension, and leaves no place for one")
    return int(stated)


def _check_scale(slope: float, intercept: float) -> None:
    # 0 says that nothing is scaled; tools write NaN for the same.
    if slope == 0.0 or math.isnan(slope):
        if intercept == 0.0 or math.isnan(intercept):
            return
        raise FileDefect("its header states an intercept (scl_inter) without a slope, which tools read differently")
    if not (math.isfinite(slope) and math.isfinite(intercept) and abs(slope) >= LEAST_SLOPE):
        raise FileDefect("its header states a slope or intercept (scl_slope, scl_inter) that is not a usable number")


def _check_meaning(intent: int, units: int) -> None:
    if intent not in IMAGE_INTENTS:
        raise FileDefect(f"its values are not those of an image or mask: its intent code is {intent}; expected 0")
    space = units & 0x07
    if space not in (0, 2):
        raise FileDefect(f"its lengths are in {UNITS.get(space, f'an unknown unit ({space})')}; expected mm")


def _q_affine(qfac: float, spacing: list[float], quaternion: tuple[float, ...]) -> NDArray[np.float64]:
    """Make RAS coordinates of the quaternion, as nifti1.h's method 2 says."""
    b, c, d, *offset = quaternion
    squares = b * b + c * c + d * d
    if not (math.isfinite(squares) and squares <= 1.0 + 1e-5):
        raise FileDefect("the quaternion of its qform is no rotation")
    if qfac not in (-1.0, 0.0, 1.0):
        raise FileDefect("the sign of its qform (pixdim[0]) is neither 1 nor -1")
    a = math.sqrt(max(0.0, 1.0 - squares))
    if 1.0 - squares < 1e-7:  # half a turn, as near as float32 states it
        a, (b, c, d) = 0.0, (part / math.sqrt(squares) for part in (b, c, d))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    steps = np.array(spacing) * np.array([1.0, 1.0, -1.0 if qfac < 0.0 else 1.0])
    return np.column_stack([rotation * steps, offset])


def _affine(
    size: tuple[int, int, int],
    codes: tuple[int, ...],
    by_q: NDArray[np.float64] | None,
    by_s: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the one affine ``(3, 4)``, RAS in mm."""
    if not all(0 <= code <= LAST_FORM for code in codes):
        raise FileDefect(f"the codes of its qform and sform are {codes[0]} and {codes[1]}; expected 0 to {LAST_FORM}")
    if not any(codes):
        raise FileDefect(
            "its header does not state how the image lies in the patient: qform and sform are both unset; "
            "set one of them"
        )
    if not codes[1]:
        assert by_q is not None  # noqa: S101 - one of the codes is set
        return by_q
    if not np.isfinite(by_s).all() or abs(np.linalg.det(by_s[:, :3])) < 1e-12:
        raise FileDefect("its sform is singular or not finite, and places no image")
    if by_q is not None:
        corners = np.array([[i, j, k, 1] for i in (0, size[0]) for j in (0, size[1]) for k in (0, size[2])])
        apart = np.linalg.norm((by_q - by_s) @ corners.T, axis=0).max()
        if not apart <= nearly(_grid(size, by_s)):
            raise FileDefect(
                f"its qform and its sform place the image differently, up to {apart:.3g} mm apart; "
                "set both to the one that is right"
            )
    return by_s


def _grid(size: tuple[int, int, int], affine: NDArray[np.float64]) -> Geometry:
    return grid_of(size, TO_LPS @ affine[:, :3], (TO_LPS @ affine[:, 3]).tolist())
