"""Made patients for training: phantoms whose anatomy, grid, posture, noise and calibration differ from case to case.

A case is drawn from its seed alone, and described completely by its fields. Seeds of training are ``TRAINED_FROM``
and above; every other seed is a patient that no weights have seen.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from core.volume import Geometry
from phantom import Patient, Phantom, Phase, make_patient, make_phantom, trunk_geometry

TRAINED_FROM = 1000
Triple = tuple[float, float, float]

_KIDNEYS = ((-60.0, 40.0, -22.0), (62.0, 40.0, 2.0))


@dataclass(frozen=True)
class MadePatient:
    """One made patient as scanned; lengths in mm, intensities in HU.

    Attributes
    ----------
    seed
        Anatomy, texture and noise of the phantom.
    phases
        Contrast phase of each channel.
    spacing, extent, centre
        The grid, ``(slice, row, column)``; the centre is LPS.
    turn_deg
        Posture in the scanner: rotation in degrees about x, y and z.
    tumour, tumour_at, ureter
        Parts of the anatomy that no seed varies, see ``phantom.patient.Patient``.
    shifts
        Shift of each channel's patient along z by breathing, in mm.
    noise
        Standard deviation of the added noise in HU, which is drawn anew for each channel.
    scale, offset
        Calibration: ``HU * scale + offset``.
    """

    seed: int
    phases: tuple[Phase, ...]
    spacing: Triple
    extent: Triple
    centre: Triple
    turn_deg: Triple
    tumour: float
    tumour_at: Triple
    ureter: float
    shifts: tuple[float, ...]
    noise: float
    scale: float
    offset: float

    @property
    def anatomy(self) -> Patient:
        """The anatomy of the seed, with this case's tumour and ureters."""
        return replace(make_patient(self.seed), tumour=self.tumour, tumour_at=self.tumour_at, ureter=self.ureter)

    @property
    def geometry(self) -> Geometry:
        """The grid of all channels."""
        turn = Rotation.from_euler("xyz", self.turn_deg, degrees=True).as_matrix()
        return trunk_geometry(self.spacing, extent=self.extent, centre=self.centre, direction=turn)

    def phantom(self, channel: int) -> Phantom:
        """Make the phantom of the patient in one channel's phase; its labels are the truth of that channel."""
        grid = self.geometry
        x, y, z = grid.origin
        moved = replace(grid, origin=(x, y, z - self.shifts[channel]))
        return make_phantom(moved, phase=self.phases[channel], seed=self.seed, patient=self.anatomy)

    def image(self, channel: int, phantom: Phantom) -> NDArray[np.float32]:
        """Apply this scanner's noise and calibration to a channel's phantom; the result is in HU."""
        rng = np.random.default_rng([self.seed, channel])
        noise = rng.standard_normal(phantom.array.shape, dtype=np.float32) * np.float32(self.noise)
        return phantom.array * np.float32(self.scale) + np.float32(self.offset) + noise


def draw_patient(
    seed: int, phases: tuple[Phase, ...], spacing: tuple[float, float], height: tuple[float, float]
) -> MadePatient:
    """Draw a patient to train on.

    Parameters
    ----------
    seed
        ``TRAINED_FROM`` or above.
    phases
        One for each channel.
    spacing
        Smallest and largest spacing in mm.
    height
        Lowest and highest z in mm that the scan's middle may have.

    Raises
    ------
    ValueError
        If the seed is held out.
    """
    if seed < TRAINED_FROM:
        raise ValueError(f"seed {seed} is held out of every training; use {TRAINED_FROM} or above")
    rng = np.random.default_rng([seed, 77])

    def number(low: float, high: float) -> float:
        return round(float(rng.uniform(low, high)), 2)

    in_plane = number(*spacing)
    varied = bool(rng.random() < 0.6)
    side = int(rng.integers(2))
    x, y, z = _KIDNEYS[side]
    outward = -1.0 if side == 0 else 1.0
    elsewhere = (x + outward * number(4, 18), y + number(-10, 10), z + number(-42, 42))
    return MadePatient(
        seed=seed,
        phases=phases,
        spacing=(number(*spacing), in_plane, in_plane),
        extent=(number(140, 220), number(230, 300), number(320, 400)),
        centre=(number(-10, 10), number(0, 20), number(*height)),
        turn_deg=(number(-5, 5), number(-5, 5), number(-5, 5)),
        tumour=number(9, 23),
        tumour_at=elsewhere if varied else make_patient(seed).tumour_at,
        ureter=number(3.2, 5.0) if rng.random() < 0.5 else make_patient(seed).ureter,
        shifts=(0.0, *(number(-1.5, 1.5) for _ in phases[1:])),
        noise=number(0, 18),
        scale=number(0.97, 1.03),
        offset=number(-12, 12),
    )


def sha256_of(array: NDArray[Any]) -> str:
    """Compute the SHA-256 of an array's values and shape."""
    return hashlib.sha256(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes()).hexdigest()
