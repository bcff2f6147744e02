"""The common ground of SEG and RTSTRUCT: structures with names, and the images that they were drawn on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class Outline:
    """A mask object by its header, without contours, frames and pixels: of thousands at once.

    Attributes
    ----------
    path
        Its file.
    sop_instance_uid, study_uid
        Its own UIDs.
    frames_of_reference
        Those that it names.
    structures
        In its own order.
    series_uids
        Series that it refers to, in its own order.
    image_uids
        Images that it was made of.
    patient_words
        Words of its patient's attributes, in small letters.
    """

    path: Path
    kind: AnnotationKind
    sop_instance_uid: str
    study_uid: str
    frames_of_reference: frozenset[str]
    structures: tuple[Structure, ...]
    series_uids: tuple[str, ...]
    image_uids: frozenset[str]
    patient_words: frozenset[str]


class Annotation(Protocol):
    """A mask object that was read."""

    def mask(self, number: int, volume: Volume) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
        """Make the mask ``(slice, row, column)`` of a structure, by its place in ``structures``, and notes on it.

        Raises
        ------
        CaseRefused
            If it does not lie on the volume, or is no mask.
        """
