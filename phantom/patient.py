"""One made patient: sizes and positions differ from seed to seed, but never the side on which an organ lies."""

from dataclasses import dataclass

import numpy as np

TABLE_SEEDS = 3
"""Every patient except each third lies on a table."""


@dataclass(frozen=True)
class Patient:
    """The anatomy that a seed decides; lengths in mm.

    Attributes
    ----------
    scale
        Stretch of the whole body along x, y and z.
    fat
        Thickness of the fat under the skin.
    lean
        Sideways bend of the spine at its middle.
    lung, liver, spleen, kidney
        Relative sizes.
    tumour
        Radius of the tumour.
    tumour_at
        Middle of the tumour, LPS mm before ``scale``; no seed moves it.
    ureter
        Inner radius of both ureters; no seed changes it.
    breath
        Distance by which the diaphragm stands lower (inspiration) or higher.
    on_table
        True if a table lies behind the patient.
    bowel_seed
        Seed of the positions of the bowel loops and their gas.
    """

    scale: tuple[float, float, float]
    fat: float
    lean: float
    lung: float
    liver: float
    spleen: float
    kidney: float
    tumour: float
    breath: float
    on_table: bool
    bowel_seed: int
    tumour_at: tuple[float, float, float] = (-74.0, 40.0, -58.0)
    ureter: float = 3.2


def make_patient(seed: int) -> Patient:
    """Draw the patient of this seed."""
    rng = np.random.default_rng([seed, 1])
    size = float(rng.uniform(0.92, 1.08))
    x, y, z = (float(size * rng.uniform(0.95, 1.05)) for _ in range(3))
    return Patient(
        scale=(x, y, z),
        fat=float(rng.uniform(8.0, 24.0)),
        lean=float(rng.uniform(3.0, 9.0)),
        lung=float(rng.uniform(0.93, 1.05)),
        liver=float(rng.uniform(0.93, 1.08)),
        spleen=float(rng.uniform(0.85, 1.2)),
        kidney=float(rng.uniform(0.9, 1.1)),
        tumour=float(rng.uniform(14.0, 22.0)),
        breath=float(rng.uniform(-12.0, 12.0)),
        on_table=seed % TABLE_SEEDS != TABLE_SEEDS - 1,
        bowel_seed=seed,
    )
