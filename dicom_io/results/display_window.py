"""The grey window in which a label is looked at: soft tissue, lung and bone of CT, or the values' own range."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.model_config import LabelSpec
from core.units import HU, same_unit

PERCENTILES: Final = (1.0, 99.0)
"""Percentiles shown black and white where values are not HU."""


@dataclass(frozen=True)
class DisplayWindow:
    """Values shown black and white, and their unit (empty: none)."""

    name: str
    black: float
    white: float
    unit: str = ""

    def grey(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """Convert values to 0 (black) to 255 (white)."""
        shade = (np.asarray(image, np.float32) - self.black) * (255 / (self.white - self.black))
        grey: NDArray[np.uint8] = np.clip(shade, 0, 255).astype(np.uint8)
        return grey

    def __str__(self) -> str:
        """Name the window with its width and level, as a viewer writes them."""
        width, level = self.white - self.black, (self.white + self.black) / 2
        return f"{self.name}: W {width:.4g} L {level:.4g} {self.unit}".rstrip()


SOFT_TISSUE: Final = DisplayWindow("Soft tissue", -160.0, 240.0, HU)
LUNG: Final = DisplayWindow("Lung", -1350.0, 150.0, HU)
BONE: Final = DisplayWindow("Bone", -600.0, 1400.0, HU)

_WORDS: Final = (
    (LUNG, r"lungs?|bronch(us|i|us tree)|airways?|trachea"),
    (
        BONE,
        r"bones?|vertebrae?|ribs?|skull|cranium|mandible|maxilla|teeth|tooth|sternum|clavic(ula|le)s?|scapulae?"
        r"|humer(us|i)|radius|ulna|hips?|sacrum|coccyx|femurs?|patellae?|tibiae?|fibulae?|tars(al|us)|carp(al|us)",
    ),
)
"""Windows, and words of a label's name or coded meaning that ask for them; vessels and muscles have none."""
_OTHER_TISSUE: Final = re.compile(r"(?<![a-z])(vessels?|arter(y|ies)|veins?|muscles?|cartilages?|fat)(?![a-z])")


def window_of(label: LabelSpec) -> DisplayWindow:
    """Return the window of CT in which a label is looked at."""
    said = f"{label.name} {label.type.meaning}".casefold()
    if _OTHER_TISSUE.search(said):
        return SOFT_TISSUE
    for window, words in _WORDS:
        if re.search(rf"(?<![a-z])({words})(?![a-z])", said):
            return window
    return SOFT_TISSUE


def group_by_window(
    labels: Sequence[LabelSpec], image: NDArray[np.float32], unit: str | None
) -> list[tuple[DisplayWindow, list[LabelSpec]]]:
    """Sort labels by the window in which they are looked at; at least one window, which may have no label.

    Parameters
    ----------
    labels
        Those that were found.
    image
        ``(slice, row, column)`` in ``unit``.
    unit
        Unit of the values, by `core.units`; None where they have none.
    """
    if unit is None or not same_unit(unit, HU):
        low, high = (float(v) for v in np.percentile(image[:, ::4, ::4], PERCENTILES))
        return [(DisplayWindow("Window", low, max(high, low + 1e-6), unit or ""), list(labels))]
    groups = [(window, [one for one in labels if window_of(one) == window]) for window in (SOFT_TISSUE, LUNG, BONE)]
    return [group for group in groups if group[1]] or [(SOFT_TISSUE, [])]
