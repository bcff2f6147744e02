"""The DICOM tags of a made series: those of its study and its own, its encoding, its UIDs."""

import hashlib
from dataclasses import dataclass

from pydicom.uid import UID, ExplicitVRLittleEndian


@dataclass(frozen=True)
class StudyTags:
    """The tags of patient and study; every series of a study is written with the same ones."""

    name: str = "demo"
    patient_name: str = "Phantom^Made"
    patient_id: str = "PHANTOM-1"
    description: str = "Made study"
    date: str = "20260102"
    accession_number: str = "A1"
    character_set: str = "ISO_IR 192"

    @property
    def uid(self) -> str:
        """Study Instance UID."""
        return made_uid("study", self)

    @property
    def frame_of_reference_uid(self) -> str:
        """Frame of Reference UID: all series of the study share the patient's position."""
        return made_uid("frame of reference", self)


@dataclass(frozen=True)
class SeriesTags:
    """The tags of the series; ``None`` is derived from the phantom's modality and phase."""

    number: int = 1
    description: str | None = None
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    body_part: str = "ABDOMEN"
    contrast_agent: str | None = None
    acquisition_time: str | None = None
    frame_of_reference_uid: str | None = None
    slice_thickness: float | None = None


@dataclass(frozen=True)
class Encoding:
    """The encoding of values as stored pixels; the stored value is ``(value - intercept) / slope``, rounded.

    ``intercept`` of ``None`` is -1024 for CT and 0 for MR. Classic MR images carry no rescale attributes if slope
    and intercept are 1 and 0. ``enhanced`` writes one multi-frame instance.
    """

    transfer_syntax: UID = ExplicitVRLittleEndian
    enhanced: bool = False
    slope: float = 1.0
    intercept: float | None = None
    bits_stored: int = 16
    signed: bool = True
    photometric_interpretation: str = "MONOCHROME2"
    padding: int | None = None


def made_uid(*sources: object) -> str:
    """Build the UID that belongs to these sources, in the form of PS3.5 annex B.2."""
    digest = hashlib.sha256("\0".join(map(repr, sources)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16])}"
