"""The made patient sampled on any grid: intensities of one contrast phase, and the anatomical truth.

The anatomy is defined in patient coordinates and looked up at every voxel's centre, so that two geometries,
however oblique or anisotropic, show one patient.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from core.volume import Geometry
from phantom.intensity import TISSUES, Modality, Phase, intensities, textures
from phantom.patient import Patient, make_patient
from phantom.shapes import Coordinates, Shape
from phantom.structures import structures

LABEL_NAMES = {
    0: "background", 1: "body", 2: "lung_right", 3: "lung_left", 4: "bone", 5: "liver", 6: "spleen", 7: "stomach",
    8: "kidney_right", 9: "kidney_left", 10: "kidney_tumour", 11: "artery", 12: "vein", 13: "ureter_right",
    14: "ureter_left", 15: "bladder", 16: "heart", 17: "bowel", 18: "gas", 19: "gallbladder",
}  # fmt: skip
"""Values of ``Phantom.labels``; ``body`` is all tissue without a name of its own (skin, fat, muscle, lung vessels)."""

POINT_SPREAD_MM = 0.6
"""Standard deviation in mm of the blur that a scanner adds."""

NOISE_CT_HU = 12.0
NOISE_MR = 10.0

_LABELS = {name: number for number, name in LABEL_NAMES.items()}
_TISSUES = {name: number for number, name in enumerate(TISSUES)}


@dataclass(frozen=True, eq=False)
class Phantom:
    """Voxels of the made patient, with their anatomical labels.

    Attributes
    ----------
    array
        int16 ``(slice, row, column)``: HU for CT, arbitrary units from 0 for MR.
    labels
        uint8 ``(slice, row, column)``, the anatomical truth by ``label_names``.
    geometry
        The grid of both.
    modality, phase, seed
        The arguments with which the phantom was made; phase ``None`` is native.
    label_names
        Name of each value of ``labels``; see ``LABEL_NAMES``.
    """

    array: NDArray[np.int16]
    labels: NDArray[np.uint8]
    geometry: Geometry
    modality: Modality
    phase: Phase | None
    seed: int
    label_names: dict[int, str] = field(default_factory=lambda: dict(LABEL_NAMES))

    def mask(self, *names: str) -> NDArray[np.bool_]:
        """Mark the voxels of any of the named structures, ``(slice, row, column)``."""
        return np.isin(self.labels, [_LABELS[name] for name in names])

    def volume_ml(self, *names: str) -> float:
        """Compute the volume of the named structures in millilitres."""
        return float(self.mask(*names).sum()) * self.geometry.voxel_volume_mm3 / 1000.0


def trunk_geometry(
    spacing: tuple[float, float, float] = (5.0, 2.0, 2.0),
    *,
    extent: tuple[float, float, float] = (480.0, 300.0, 400.0),
    centre: tuple[float, float, float] = (0.0, 10.0, 20.0),
    direction: ArrayLike | None = None,
) -> Geometry:
    """Build a grid around the trunk, axial unless a direction is given.

    Parameters
    ----------
    spacing
        mm along ``(slice, row, column)``.
    extent
        Length covered in mm along ``(slice, row, column)``; the trunk is about 300 by 400 mm and endless in z,
        the lungs end near z = 290, the hips near z = -260.
    centre
        LPS mm of the middle of the grid.
    direction
        ``(3, 3)`` as in ``Geometry.direction``; default axial.
    """
    shape = (
        max(1, round(extent[0] / spacing[0])),
        max(1, round(extent[1] / spacing[1])),
        max(1, round(extent[2] / spacing[2])),
    )
    turn = np.eye(3) if direction is None else np.asarray(direction, dtype=np.float64).reshape(3, 3)
    half = (np.array(shape, dtype=np.float64) - 1.0) / 2.0 * np.array(spacing)
    origin = np.array(centre) - turn @ half[::-1]
    return Geometry(shape, spacing, (float(origin[0]), float(origin[1]), float(origin[2])), turn)


def make_phantom(
    geometry: Geometry,
    *,
    phase: Phase | None = None,
    modality: Modality = "CT",
    seed: int = 0,
    patient: Patient | None = None,
) -> Phantom:
    """Sample the patient of a seed on a grid.

    Parameters
    ----------
    geometry
        Grid of the voxel centres in LPS mm; the origin is in the middle of the trunk at the kidneys' height.
        A grid whose direction is not orthonormal (gantry tilt) is sampled as it is.
    phase
        Contrast phase ``A``, ``P``, ``D``, or ``None`` for native.
    modality
        ``CT`` (HU) or ``MR`` (T1-weighted look, arbitrary units, with a slow shading).
    seed
        The patient: the same seed is the same patient in every geometry, phase and modality. Noise depends on the
        seed, too, and not on the phase.
    patient
        An anatomy to use instead of the seed's; texture and noise stay the seed's.
    """
    anatomy = patient or make_patient(seed)
    affine = np.diag([*(1.0 / s for s in anatomy.scale), 1.0]) @ geometry.affine
    tissue, labels = _paint(affine, geometry.shape, anatomy)
    array = intensities(modality, phase)[tissue]
    array += textures(modality)[tissue] * _waves(affine, geometry.shape, (18.0, 45.0), seed)
    array = _blur(array, [POINT_SPREAD_MM / s for s in geometry.spacing])
    noise = np.random.default_rng([seed, 5]).standard_normal(geometry.shape, dtype=np.float32)
    if modality == "CT":
        array = np.clip(array + NOISE_CT_HU * noise, -1024, 3071)
    else:
        array *= 1.0 + 0.25 * _waves(affine, geometry.shape, (500.0, 800.0), seed + 1)
        array = np.abs(array + NOISE_MR * noise)
    return Phantom(np.round(array).astype(np.int16), labels, geometry, modality, phase, seed)


def _paint(
    affine: NDArray[np.float64], shape: tuple[int, int, int], patient: Patient
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Paint tissue and label of every voxel of a grid whose affine leads to the nominal patient."""
    tissue, labels = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for part in structures(patient):
        block = _block(part.shape, affine, shape)
        if block is None:
            continue
        inside = part.shape.inside(*_coordinates(affine, block))
        if part.within:
            inside &= np.isin(tissue[block], [_TISSUES[name] for name in part.within])
        tissue[block][inside] = _TISSUES[part.tissue]
        if part.label is not None:
            labels[block][inside] = _LABELS[part.label]
    return tissue, labels


def _block(part: Shape, affine: NDArray[np.float64], shape: tuple[int, int, int]) -> tuple[slice, slice, slice] | None:
    """Find the index ranges that hold every voxel of the part, or ``None`` if the part lies outside the grid."""
    corners = np.array(np.meshgrid(*zip(*part.bounds(), strict=True))).reshape(3, 8)
    index = np.linalg.inv(affine)[:3] @ np.vstack([corners, np.ones(8)])
    low = np.clip(np.ceil(index.min(axis=1) - 1e-6), 0, None).astype(int)
    high = np.minimum(np.floor(index.max(axis=1) + 1e-6).astype(int) + 1, shape)
    if np.any(low >= high):
        return None
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2]))


def _coordinates(
    affine: NDArray[np.float64], block: tuple[slice, slice, slice]
) -> tuple[Coordinates, Coordinates, Coordinates]:
    """Compute nominal x, y and z of the block's voxel centres, each broadcastable to the block."""
    index = np.ogrid[block]

    def along(row: NDArray[np.float64]) -> Coordinates:
        steps = [(factor * i).astype(np.float32) for factor, i in zip(row[:3], index, strict=True) if factor != 0.0]
        return sum(steps, np.full((1, 1, 1), row[3], np.float32))

    return along(affine[0]), along(affine[1]), along(affine[2])


def _waves(
    affine: NDArray[np.float64], shape: tuple[int, int, int], wavelengths: tuple[float, float], seed: int
) -> NDArray[np.float32]:
    """Make a smooth pattern between -1 and 1, fixed in the patient: four plane waves, ``wavelengths`` in mm."""
    rng = np.random.default_rng([seed, 4])
    total = np.zeros(shape, np.float32)
    for _ in range(4):
        direction = rng.standard_normal(3)
        wave = direction / np.linalg.norm(direction) * 2.0 * np.pi / rng.uniform(*wavelengths)
        steps = wave @ affine[:3]
        a, b, c = (np.exp(1j * step * np.arange(n)).astype(np.complex64) for step, n in zip(steps, shape, strict=False))
        a = a * np.complex64(np.exp(1j * (steps[3] + rng.uniform(0.0, 2.0 * np.pi))))
        total += (a[:, None, None] * (b[:, None] * c)[None]).real
    return total / np.float32(4.0)


def _blur(array: NDArray[np.float32], sigma: list[float]) -> NDArray[np.float32]:
    """Blur by a Gaussian with a standard deviation in voxels per axis; axes on which it is negligible are skipped."""
    for axis, width in enumerate(sigma):
        if width > 0.2:
            array = ndimage.gaussian_filter1d(array, width, axis=axis, mode="nearest")
    return array
