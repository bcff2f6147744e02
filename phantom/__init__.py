"""Made CT and MR volumes of a patient whose anatomy is known and asymmetric: the truth for tests and the demo."""

from phantom.anatomy import LABEL_NAMES, Phantom, make_phantom, trunk_geometry
from phantom.intensity import Modality, Phase
from phantom.patient import Patient, make_patient

__all__ = ["LABEL_NAMES", "Modality", "Patient", "Phantom", "Phase", "make_patient", "make_phantom", "trunk_geometry"]
