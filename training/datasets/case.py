"""One case on its way into a data set: found by headers or names, then loaded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.volume import Geometry
from training.datasets.compose import Composed
from training.datasets.lock import Kind
from training.datasets.short_ids import ShortIDs
from training.datasets.table import LabelTable


class CaseNote(StrEnum):
    """Findings that a person should know of a case that was taken; reports carry the value."""

    EMPTY_MASK = "empty_mask"
    NOT_LOOKED_FOR = "not_looked_for"
    PATIENT_UNKNOWN = "patient_unknown"
    SHARED_SLICES = "shared_slices"
    CONTOUR_CUT = "contour_cut"
    CONTOUR_OF_POINTS = "contour_of_points"
    EMPTY_STRUCTURE = "empty_structure"
    UNIT_IMPLAUSIBLE = "unit_implausible"
    IMAGE_WARNING = "image_warning"
    SPACING_OUTLIER = "spacing_outlier"
    INTENSITY_OUTLIER = "intensity_outlier"

    @property
    def sentence(self) -> str:
        """The meaning, in words for the person who looks at the report."""
        return _SENTENCES[self]


_SENTENCES = {
    CaseNote.EMPTY_MASK: "No voxel has a label.",
    CaseNote.NOT_LOOKED_FOR: "A label was not looked for; where it may lie is nnU-Net's ignore label.",
    CaseNote.PATIENT_UNKNOWN: "The patient is not known; the case counts as a patient of its own.",
    CaseNote.SHARED_SLICES: "Another case holds the same slices; both count as one patient.",
    CaseNote.CONTOUR_CUT: "A contour reaches beyond the image and is cut off.",
    CaseNote.CONTOUR_OF_POINTS: "Contours of one or two points enclose nothing and were left out.",
    CaseNote.EMPTY_STRUCTURE: "A structure was named and never drawn, which does not prove that it was looked for.",
    CaseNote.UNIT_IMPLAUSIBLE: "The air around the patient is not where the unit puts it.",
    CaseNote.IMAGE_WARNING: "The image has a warning.",
    CaseNote.SPACING_OUTLIER: "The spacing is far from that of the other cases.",
    CaseNote.INTENSITY_OUTLIER: "The values are far from those of the other cases.",
}


@dataclass(frozen=True)
class Note:
    """One finding on a case; the detail quotes nothing of a header."""

    code: CaseNote
    detail: str = ""


@dataclass(frozen=True, eq=False)
class LoadedCase:
    """An image with its mask in memory.

    Attributes
    ----------
    channels
        float32 ``(channel, slice, row, column)``.
    geometry
        Its grid.
    composed
        The mask.
    looked_for
        Labels that were looked for.
    labelled_by
        Who made it; no name of a person unless the person who registers gave it.
    notes
        What a person should know.
    image_files, label_file
        Files that hold exactly this, to be linked instead of written; ``None`` where there is none.
    units
        Of each channel's values; empty where it is not known.
    """

    channels: NDArray[np.float32]
    geometry: Geometry
    composed: Composed
    looked_for: frozenset[str]
    labelled_by: str
    notes: tuple[Note, ...] = ()
    image_files: tuple[Path | None, ...] = ()
    label_file: Path | None = None
    units: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class FoundCase:
    """A case by its headers or names; ``load`` reads it.

    Attributes
    ----------
    kind
        Form of the source.
    key, patient
        What tells it, and its patient, from others; never to be shown. ``None``: the patient is not known.
    name
        What the source's files call it; never to be shown. Empty for DICOM.
    structures
        Names of its structures, as they are drawn; empty for label maps.
    hidden
        Words of the patient's attributes, in small letters, that no text of the data set may hold.
    load
        Reads it by a table. Raises `StudyRejected`, `CaseRefused`, `UnreadableImage` or `ConfigInvalid`.
    """

    kind: Kind
    key: str
    patient: str | None
    load: Callable[[LabelTable], LoadedCase]
    name: str = ""
    structures: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Request:
    """The wishes of the person who registers.

    Attributes
    ----------
    table
        The labels table; ``None``: made of what the source states.
    images, mask
        Patterns of NIfTI files, an image a channel.
    labelled_by
        Who made the masks.
    people
        Patient and who made the mask, by the case's name in the source; empty texts state nothing.
    by_frame_of_reference
        Whether a mask may belong to the one fitting series of its frame of reference if its references lead nowhere.
    """

    table: LabelTable | None = None
    images: tuple[str, ...] = ()
    mask: str = ""
    labelled_by: str = ""
    by_frame_of_reference: bool = False
    people: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Found:
    """The content of a source.

    Attributes
    ----------
    cases
        Its cases.
    refused
        Those that cannot become cases: key, code, finding.
    table
        The labels that the source itself states, if it does.
    splits
        The splits that it has, by keys of cases.
    without_mask
        How many images have no mask.
    """

    cases: tuple[FoundCase, ...]
    refused: tuple[tuple[str, str, str], ...] = ()
    table: LabelTable | None = None
    splits: tuple[Mapping[str, tuple[str, ...]], ...] = ()
    without_mask: int = 0


def withhold(name: str, hidden: frozenset[str]) -> bool:
    """Tell whether a free text holds a word of the patient's attributes."""
    folded = name.casefold()
    return any(word in folded for word in hidden)


def identify(case: FoundCase, ids: ShortIDs) -> tuple[str, str]:
    """Return the short IDs of a case's source and patient."""
    patient = f"case {case.key}" if case.patient is None else f"patient {case.patient}"
    return ids.of("source", case.key), ids.of("patient", patient)
