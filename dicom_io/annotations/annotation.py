"""The common ground of SEG and RTSTRUCT: structures with names, and the images that they were drawn on."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from core.volume import Volume

AnnotationKind = Literal["dicom_seg", "dicom_rtstruct"]


@dataclass(frozen=True)
class Structure:
    """One segment or ROI, by its header.

    Attributes
    ----------
    name
        Segment Label or ROI Name: free text, in which a patient's name may stand.
    is_drawn
        Whether anything was drawn; templates leave empty structures, which prove nothing.
    generation
        ``MANUAL``, ``SEMIAUTOMATIC``, ``AUTOMATIC``, or empty.
    person
        Whoever made it, as the object names them: never to be shown.
    """

    name: str
    is_drawn: bool
    generation: str
    person: str


class Annotation(Protocol):
    """A mask object of one image."""

    @property
    def kind(self) -> AnnotationKind:
        """Its form."""

    @property
    def header(self) -> Dataset:
        """Its header."""

    @property
    def structures(self) -> tuple[Structure, ...]:
        """The structures that it describes, in its own order."""

    @property
    def series_uids(self) -> tuple[str, ...]:
        """Series Instance UIDs that it refers to, in its own order."""

    @property
    def image_uids(self) -> frozenset[str]:
        """SOP Instance UIDs that it refers to."""

    def mask(self, number: int, volume: Volume) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
        """Make the mask ``(slice, row, column)`` of a structure, by its place in ``structures``, and notes on it.

        Raises
        ------
        CaseRefused
            If it does not lie on the volume, or is no mask.
        """
