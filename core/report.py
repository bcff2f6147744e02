"""``report.json``: the record of what was done with one study, for tools and for the person who asks why.

It carries UIDs, decisions, volumes and timings, and no attribute of the patient.
"""

from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import AwareDatetime, Field

from core.errors import ConfigInvalid, OutOfMemory, PackageInvalid, RetryLater, SegnodeError, StudyRejected
from core.frozen import Frozen
from core.model_config import Code, LabelSpec, Profile
from core.study_warning import StudyWarning
from core.version import VERSION

if TYPE_CHECKING:
    from core.measurements.structure import Structure  # which loads scipy

Outcome = Literal["segmented", "nothing_found", "refused", "failed"]
Stage = Literal["read", "preprocess", "network", "labels", "postprocess", "seg", "total", "measure"]
STAGES: tuple[Stage, ...] = get_args(Stage)[:7]
"""Those that every report has; the others are there where they ran."""


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


class MeasurementReport(Frozen):
    """The measurements of one label, rounded to what they are good for.

    Attributes
    ----------
    label
        Its name.
    found
        Whether the algorithm found a voxel of it; if not, nothing was measured, and the volume is null, not 0.
    incomplete
        Whether it touches the border of the image, so that every number is of a part.
    volume_ml
        Volume.
    unit
        Of the values of the image: a name of `core.units`; none where they have no unit.
    mean, sd, minimum, maximum, peak
        Of the values in it; the peak of PET alone.
    long_axis_mm, short_axis_mm, axes_slice
        Diameters, and the slice on which they lie, counted from 0 in the mask.
    """

    label: str
    found: bool
    incomplete: bool = False
    volume_ml: float | None = None
    unit: str | None = None
    mean: float | None = None
    sd: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    peak: float | None = None
    long_axis_mm: float | None = None
    short_axis_mm: float | None = None
    axes_slice: int | None = None

    @classmethod
    def of(cls, structure: "Structure", unit: str | None) -> "MeasurementReport":
        """Build the entry of a structure."""
        values, axes, uptake = structure.intensity, structure.diameters, structure.uptake
        return cls(
            label=structure.label.name,
            found=structure.is_found,
            incomplete=structure.is_cut_off,
            volume_ml=_rounded(structure.volume_ml, 3),
            unit=unit,
            mean=_rounded(values.mean if values is not None else None, 4),
            sd=_rounded(values.sd if values is not None else None, 4),
            minimum=_rounded(values.minimum if values is not None else None, 4),
            maximum=_rounded(values.maximum if values is not None else None, 4),
            peak=_rounded(uptake.peak if uptake is not None else None, 4),
            long_axis_mm=_rounded(axes.long_mm if axes is not None else None, 2),
            short_axis_mm=_rounded(axes.short_mm if axes is not None else None, 2),
            axes_slice=axes.slice_index if axes is not None else None,
        )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


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
    measurements
        By label, in the order of ``labels``; empty where nothing was to be measured.
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
    measurements: tuple[MeasurementReport, ...] = ()
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
        """Write the report as the text of ``report.json``; without notes or measurements there is no key of them."""
        left_out: dict[str, Any] = {} if self.notes else {"notes": True}
        unmeasured = {number: {"measurements"} for number, one in enumerate(self.models) if not one.measurements}
        if unmeasured:
            left_out["models"] = unmeasured
        return self.model_dump_json(by_alias=True, indent=2, exclude=left_out or None) + "\n"
