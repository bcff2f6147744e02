"""The intensities of each tissue of the phantom: CT in HU by contrast phase, MR in arbitrary units.

The HU are round textbook values, chosen to lie clearly on the right side of the thresholds that people use
(gas below -500, fat near -100, soft tissue 0 to 100, bone above 200), not measurements of any patient.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Phase = Literal["A", "P", "D"]
"""Arterial, portal venous and delayed (excretory); ``None`` in signatures means native."""

Modality = Literal["CT", "MR"]

TISSUES = (
    "air", "fat", "muscle", "skin", "lung", "lung_vessel", "cortical", "marrow", "disc", "blood_artery", "blood_vein",
    "heart", "liver", "spleen", "kidney_cortex", "kidney_medulla", "urine", "bladder", "tumour", "stomach", "bowel",
    "gas", "gallbladder", "table_foam", "table_shell", "cord", "stool", "diaphragm",
)  # fmt: skip

_NATIVE_HU = {
    "air": -1000, "fat": -100, "muscle": 55, "skin": 30, "lung": -830, "lung_vessel": 10, "cortical": 650,
    "marrow": 290, "disc": 85, "blood_artery": 42, "blood_vein": 40, "heart": 42, "liver": 58, "spleen": 50,
    "kidney_cortex": 33, "kidney_medulla": 30, "urine": 8, "bladder": 6, "tumour": 38, "stomach": 18, "bowel": 35,
    "gas": -975, "gallbladder": 12, "table_foam": -850, "table_shell": -200, "cord": 35, "stool": 20,
    "diaphragm": 50,
}  # fmt: skip

_PHASE_HU: dict[Phase, dict[str, int]] = {
    "A": {
        "blood_artery": 320, "blood_vein": 75, "heart": 220, "liver": 68, "spleen": 115, "kidney_cortex": 175,
        "kidney_medulla": 65, "tumour": 135, "lung_vessel": 110, "muscle": 60, "bowel": 70,
    },
    "P": {
        "blood_artery": 155, "blood_vein": 170, "heart": 150, "liver": 112, "spleen": 120, "kidney_cortex": 180,
        "kidney_medulla": 160, "tumour": 100, "lung_vessel": 80, "muscle": 65, "bowel": 85,
    },
    "D": {
        "blood_artery": 105, "blood_vein": 108, "heart": 100, "liver": 90, "spleen": 92, "kidney_cortex": 125,
        "kidney_medulla": 130, "urine": 700, "bladder": 260, "tumour": 75, "lung_vessel": 55, "muscle": 65, "bowel": 60,
    },
}  # fmt: skip

_NATIVE_MR = {
    "air": 4, "fat": 720, "muscle": 230, "skin": 300, "lung": 40, "lung_vessel": 120, "cortical": 45, "marrow": 430,
    "disc": 260, "blood_artery": 130, "blood_vein": 150, "heart": 210, "liver": 400, "spleen": 240,
    "kidney_cortex": 310, "kidney_medulla": 230, "urine": 90, "bladder": 85, "tumour": 180, "stomach": 150,
    "bowel": 220, "gas": 8, "gallbladder": 200, "table_foam": 4, "table_shell": 4, "cord": 280, "stool": 170,
    "diaphragm": 220,
}  # fmt: skip

_PHASE_MR: dict[Phase, dict[str, int]] = {
    "A": {"blood_artery": 1050, "heart": 850, "kidney_cortex": 780, "spleen": 560, "tumour": 420, "blood_vein": 220},
    "P": {
        "blood_artery": 700, "blood_vein": 780, "heart": 640, "liver": 600, "spleen": 520, "kidney_cortex": 720,
        "kidney_medulla": 650, "tumour": 330,
    },
    "D": {"blood_artery": 480, "blood_vein": 500, "heart": 460, "liver": 520, "kidney_cortex": 560,
          "kidney_medulla": 580, "urine": 900, "bladder": 420, "tumour": 280},
}  # fmt: skip

_TEXTURE = {"lung": 35.0, "marrow": 60.0, "stool": 60.0, "liver": 5.0, "fat": 6.0, "muscle": 7.0, "bowel": 10.0}
"""Amplitude in HU (tenths of it, as a fraction of the mean, in MR) of the slow change inside a tissue."""


def intensities(modality: Modality, phase: Phase | None) -> NDArray[np.float32]:
    """Return the mean value of each entry of ``TISSUES``: HU for CT, arbitrary units for MR."""
    native, by_phase = (_NATIVE_HU, _PHASE_HU) if modality == "CT" else (_NATIVE_MR, _PHASE_MR)
    table = native | (by_phase[phase] if phase is not None else {})
    return np.array([table[t] for t in TISSUES], dtype=np.float32)


def textures(modality: Modality) -> NDArray[np.float32]:
    """Return the amplitude of the texture of each entry of ``TISSUES``, in the modality's unit."""
    scale = 1.0 if modality == "CT" else 0.6
    return np.array([scale * _TEXTURE.get(t, 0.0) for t in TISSUES], dtype=np.float32)
