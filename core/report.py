"""``report.json``: the record of what was done with one study, for tools and for the person who asks why.

It carries UIDs, decisions, volumes and timings, and no attribute of the patient.
"""

from typing import Any, Literal, get_args

from pydantic import AwareDatetime, Field

from core.errors import ConfigInvalid, OutOfMemory, PackageInvalid, RetryLater, SegnodeError, StudyRejected
from core.frozen import Frozen
from core.model_config import Code, LabelSpec, Profile
from core.study_warning import StudyWarning
from core.version import VERSION

Outcome = Literal["segmented", "nothing_found", "refused", "failed"]
Stage = Literal["read", "preprocess", "network", "labels", "postprocess", "seg", "total"]
STAGES: tuple[Stage, ...] = get_args(Stage)


class Reason(Frozen):
    """The reason for which a study was refused or failed."""

    code: str
    message: str
    series: str | None = None

    @classmethod
    def of(cls, error: SegnodeError, model: str | None = None) -> "Reason":
        """Build the reason from an error; ``model`` names the model that it concerns, where there are several."""
        prefix = f"{model}: " if model else ""
        if isinstance(error, StudyRejected):
            return cls(code=str(error.code), message=prefix + error.message, series=error.series_uid)
        code = next(
            (_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), "failed"
        )  # its own, or its base's
        return cls(code=code, message=prefix + str(error))


_CODES: dict[type[SegnodeError], str] = {
    RetryLater: "retry_later",
    OutOfMemory: "out_of_memory",
    PackageInvalid: "package_invalid",
    ConfigInvalid: "config_invalid",
}


class SeriesReport(Frozen):
    """The decision about one series, or one volume of a series that holds several, and the reason.

    Attributes
    ----------
    volume
        What sets the volume apart from the others of its series; none for a series that is one volume.
    volume_rule
        The same as ``volume`` in ``model.yaml`` names it; empty where no key tells it apart.
    """

    uid: str
    decision: str
    channel: str | None = None
    reason: str
    volume: str | None = None
    volume_rule: dict[str, Any] | None = None


class WarningReport(Frozen):
    """A warning about the result, and the series and model that it concerns."""

    code: str
    message: str
    series: str | None = None
    model: str | None = None

    @classmethod
    def of(cls, warning: StudyWarning) -> "WarningReport":
        """Build the entry of a warning."""
        return cls(code=str(warning.code), message=warning.message, series=warning.series_uid, model=warning.model)


class LabelReport(Frozen):
    """A label of a result: its value in the mask, and its meaning as the SEG codes it (Segmented Property Type)."""

    value: int
    name: str
    code: Code
    laterality: Code | None = None

    @classmethod
    def of(cls, label: LabelSpec) -> "LabelReport":
        """Build the entry of a label."""
        return cls(value=label.value, name=label.name, code=label.type, laterality=label.laterality)


class ModelReport(Frozen):
    """The result of one model.

    Attributes
    ----------
    spacing_mm
        Spacing of the images that it read, which is the mask's too: ``(slice, row, column)``.
    profile
        The profile in which its networks ran.
    backend
        What computed them: library, version and type of numbers.
    geometry
        What was irregular in the stack of images, and what was done; none for a regular grid.
    volumes_ml
        Volumes by label, in the order of ``labels``.
    labels
        The labels that the mask may hold.
    outputs
        Names of the files written.
    seg_sop_instance_uid
        SOP Instance UID of its SEG; none where no SEG was written.
    not_for_clinical_use
        True of every model: this program is no medical device, and no package is declared as one.
    """

    name: str
    sha256: str
    profile: Profile | None = None
    backend: str | None = None
    spacing_mm: tuple[float, float, float] | None = None
    geometry: str | None = None
    volumes_ml: dict[str, float] = Field(default={})
    labels: tuple[LabelReport, ...] = ()
    outputs: tuple[str, ...] = ()
    seg_sop_instance_uid: str | None = None
    not_for_clinical_use: Literal[True] = True


class Report(Frozen, populate_by_name=True):
    """The whole of ``report.json``.

    Attributes
    ----------
    date
        When it was written, to the second, with the offset from UTC; `StudyOutbox.publish` sets it.
    notes
        Facts known before the run that the reader should know: above all, that images of the study had not arrived.
    warnings
        What was found in the run that the reader should know; nothing of it refused the study.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    segnode: str = VERSION
    date: AwareDatetime | None = None
    study: str
    outcome: Outcome
    reason: Reason | None = None
    series: tuple[SeriesReport, ...] = ()
    models: tuple[ModelReport, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[WarningReport, ...] = ()
    timings_s: dict[Stage, float] = Field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    device: str

    @property
    def exit_code(self) -> int:
        """The exit code of ``segnode run`` for a study that has an answer; a failed one's is its error's."""
        if self.outcome == "failed":
            return SegnodeError.exit_code
        return 0 if self.reason is None else StudyRejected.exit_code

    def to_json(self) -> str:
        """Write the report as the text of ``report.json``; the key ``notes`` is left out if there are none."""
        return self.model_dump_json(by_alias=True, indent=2, exclude=None if self.notes else {"notes"}) + "\n"
