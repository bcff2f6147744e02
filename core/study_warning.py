"""Warnings about a study that is segmented all the same: a code for programs, a sentence for people.

A warning refuses nothing. It goes from where it is found (headers, volume, package, run) into ``report.json``, the
revision's record, ``segnode status``, ``segnode studies`` and the log, and never holds data of a patient.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class WarningCode(StrEnum):
    """The kinds of warnings; reports, records and logs carry the value."""

    INSTANCE_NUMBER_GAP = "instance_number_gap"
    STATED_SPACING_DIFFERS = "stated_spacing_differs"
    FILES_UNREADABLE = "files_unreadable"
    IMAGES_REPEATED = "images_repeated"
    DESCRIPTION_CHANGED = "description_changed"
    INHERITED_TOO_LONG = "inherited_too_long"
    INHERITED_LEFT_OUT = "inherited_left_out"
    INHERITED_INCOMPLETE = "inherited_incomplete"
    INHERITED_DIFFERS = "inherited_differs"
    RESAMPLED = "resampled"
    REGISTERED = "registered"
    FAST_NOT_MEASURED = "fast_not_measured"
    EQUAL_NOT_MEASURED = "equal_not_measured"
    SUV_UNSURE = "suv_unsure"
    UNIT_UNSPECIFIED = "unit_unspecified"
    UNIT_UNDECIDED = "unit_undecided"
    UNIT_IMPLAUSIBLE = "unit_implausible"
    UNIT_OF_MAP = "unit_of_map"
    MAP_SUSPECTED = "map_suspected"
    MONO_ENERGETIC = "mono_energetic"
    ATTRIBUTE_MISSING = "attribute_missing"
    IMAGES_SET_ASIDE = "images_set_aside"
    ACQUISITIONS_JOINED = "acquisitions_joined"
    FRAME_OF_REFERENCE_DERIVED = "frame_of_reference_derived"
    PACKAGE_UNDECIDED = "package_undecided"
    PACKAGE_WITHOUT_RECORD = "package_without_record"

    @property
    def sentence(self) -> str:
        """The meaning of the code, in words for the person who has to judge the result."""
        return _SENTENCES[self]


_SENTENCES = {
    WarningCode.INSTANCE_NUMBER_GAP: "The numbers of the series' images have gaps.",
    WarningCode.STATED_SPACING_DIFFERS: "The images state another distance of slices than they have.",
    WarningCode.FILES_UNREADABLE: "Files beside the series could not be read.",
    WarningCode.IMAGES_REPEATED: "Images of the series came more than once.",
    WarningCode.DESCRIPTION_CHANGED: "Images came again with the same pixels and geometry and another description.",
    WarningCode.INHERITED_TOO_LONG: "Values of patient or study are longer than DICOM allows; results have them whole.",
    WarningCode.INHERITED_LEFT_OUT: "Values of patient or study have a form that DICOM forbids; results lack them.",
    WarningCode.INHERITED_INCOMPLETE: "The images lack values that DICOM requires of a trial; so do results.",
    WarningCode.INHERITED_DIFFERS: "The images do not agree on patient or study; results have what most images say.",
    WarningCode.RESAMPLED: "A channel was resampled.",
    WarningCode.REGISTERED: "A channel was registered.",
    WarningCode.FAST_NOT_MEASURED: "The loss of profile fast is not known.",
    WarningCode.EQUAL_NOT_MEASURED: "It is not known whether profile equal changes labels.",
    WarningCode.SUV_UNSURE: "The SUV of a PET series rests on headers that could not all be checked.",
    WarningCode.UNIT_UNSPECIFIED: "A CT says US (unspecified) of its unit and was taken as HU.",
    WarningCode.UNIT_UNDECIDED: "The unit of a PET channel is not decided; the network gets the values as stored.",
    WarningCode.UNIT_IMPLAUSIBLE: "The air around the patient is not near -1000 HU.",
    WarningCode.UNIT_OF_MAP: "A map of another unit feeds a channel of CT.",
    WarningCode.MAP_SUSPECTED: "A series may be a map and no ordinary image.",
    WarningCode.MONO_ENERGETIC: "A channel is fed by a CT image computed for one energy.",
    WarningCode.ATTRIBUTE_MISSING: "An attribute that DICOM requires is missing, and its usual value was taken.",
    WarningCode.IMAGES_SET_ASIDE: "Images that lie in the series and are none of its volume were set aside.",
    WarningCode.ACQUISITIONS_JOINED: "Acquisition numbers take turns; the times of the images rise along the table.",
    WarningCode.FRAME_OF_REFERENCE_DERIVED: "The images state no frame of reference; one was made for their series.",
    WarningCode.PACKAGE_UNDECIDED: "A question about the model that only a person can answer is open.",
    WarningCode.PACKAGE_WITHOUT_RECORD: "The package does not record the version of the program that made it.",
}


@dataclass(frozen=True)
class StudyWarning:
    """One warning.

    Attributes
    ----------
    code
        Its kind.
    detail
        The exact finding, with numbers, as whole sentences that stand for themselves; empty where the code's sentence
        says it all. Never a patient's name or ID, and no free text of an image.
    series_uid
        Series Instance UID of the series that it concerns, if there is exactly one.
    model
        Name of the model that it concerns, if there is exactly one.
    """

    code: WarningCode
    detail: str = ""
    series_uid: str | None = None
    model: str | None = None

    @property
    def message(self) -> str:
        """The code's sentence, followed by the detail."""
        return f"{self.code.sentence} {self.detail}".rstrip()

    @property
    def finding(self) -> str:
        """The detail alone, or the code's sentence where there is none."""
        return self.detail or self.code.sentence

    def about(self, series_uid: str | None = None, model: str | None = None) -> "StudyWarning":
        """Return the warning with its series and model named where they were not."""
        return replace(self, series_uid=self.series_uid or series_uid, model=self.model or model)


def distinct(warnings: Iterable[StudyWarning]) -> tuple[StudyWarning, ...]:
    """Return each warning once, in the order given."""
    return tuple(dict.fromkeys(warnings))
