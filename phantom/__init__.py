"""Made CT and MR volumes of a patient whose anatomy is known and asymmetric: the truth for tests and the demo."""

from phantom.anatomy import LABEL_NAMES, Phantom, make_phantom, trunk_geometry
from phantom.intensity import Modality, Phase

__all__ = ["LABEL_NAMES", "Modality", "Phantom", "Phase", "make_phantom", "trunk_geometry"]
