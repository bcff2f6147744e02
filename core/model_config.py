"""``model.yaml``: the facts about a model that nnU-Net does not record, validated.

The nnU-Net folder says how the network was trained. This file says which series feed which channel, what the labels
mean, in which axis order the network saw its images, and what the result looks like in the PACS.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from core.dicom_text import LONGEST, LongString, ShortString, one_line
from core.errors import PackageInvalid
from core.frozen import Frozen
from core.model_problems import problems_of
from core.units import PT_UNITS, Unit
from core.yaml_problems import Location, close_to, not_yaml, problem_at
from core.yaml_text import Pattern, load_yaml

Orientation = Literal["acquired", "RAS", "LPS"]
Plane = Literal["axial", "coronal", "sagittal", "oblique"]
Phase = Literal["native", "arterial", "portal", "delayed"]
GeometryRule = Literal["regular", "any"]
"""``regular`` takes slices on a regular grid alone; ``any`` tilted and uneven stacks of parallel slices as well."""
Profile = Literal["exact", "equal", "fast"]
"""``exact`` gives nnU-Net's labels by nnU-Net's own library; ``equal`` computes the same by a quicker one; ``fast``
trades some of the labels for time. The loss is measured for each model."""
Preference = Literal[
    "thinnest", "thickest", "most_slices", "earliest", "latest", "finest_pixels", "lowest_series_number"
]


def _in_capitals(modality: str) -> str:
    if modality != modality.upper() or not modality.strip():
        raise ValueError(f"DICOM writes a modality in capitals; did you mean {modality.strip().upper() or 'CT'}?")
    return modality


MODEL_NAME = r"[a-z0-9][a-z0-9._-]{0,62}"
"""Pattern that the whole name of a model must match, because it names folders, queues and reports."""
ModelName = Annotated[str, Field(pattern=f"^{MODEL_NAME}$")]
Modality = Annotated[str, AfterValidator(_in_capitals)]
Byte = Annotated[int, Field(ge=0, le=255)]


class Range(Frozen):
    """A closed interval in mm; an end that is left out is unbounded."""

    min: float | None = Field(default=None, ge=0)
    max: float | None = Field(default=None, gt=0)

    def __contains__(self, value: float) -> bool:
        """Return whether a length in mm lies in the interval, ends included."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)

    def __str__(self) -> str:
        """Write the interval as ``MIN to MAX mm``."""
        return f"{self.min or 0:g} to {'any' if self.max is None else format(self.max, 'g')} mm"


class VolumeRule(Frozen):
    """The volume of a series that holds several, by what sets it apart from the others; every key given must hold.

    Keys carry the names of what DICOM states: echo is Echo Numbers, time Temporal Position Identifier (or Index),
    acquisition Acquisition Number, stack Stack ID, component Complex Image Component.
    """

    acquisition: int | None = None
    time: int | None = None
    trigger_time: float | None = Field(default=None, description="ms after the R wave")
    frame_time: float | None = Field(default=None, description="Frame Reference Time in ms")
    cardiac_phase: float | None = Field(default=None, description="% of the cardiac cycle")
    respiratory_phase: float | None = Field(default=None, description="% of the respiratory cycle")
    echo: int | None = None
    echo_time: float | None = Field(default=None, description="ms")
    inversion_time: float | None = Field(default=None, description="ms")
    flip_angle: float | None = Field(default=None, description="degrees")
    b_value: float | None = Field(default=None, ge=0, description="s/mm²")
    direction: Literal["none", "isotropic", "bmatrix"] | tuple[float, float, float] | None = Field(
        default=None, description="of the diffusion gradient: a word, or three cosines"
    )
    image_type: tuple[str, ...] = Field(default=(), description="values of ImageType or FrameType, all of")
    component: str | None = Field(default=None, description="MAGNITUDE, PHASE, REAL or IMAGINARY")
    orientation: Plane | None = None
    normal: tuple[float, float, float] | None = Field(default=None, description="cosines of the slices' normal, LPS")
    tilt: float | None = Field(default=None, description="degrees")
    kernel: str | None = None
    kvp: float | None = Field(default=None, description="kV")
    slice_thickness: float | None = Field(default=None, description="mm")
    pixel_spacing: tuple[float, float] | None = Field(default=None, description="mm between rows, and between columns")
    matrix: tuple[int, int] | None = Field(default=None, description="rows and columns")
    stack: str | None = None
    photometric_interpretation: str | None = None
    dimension: str | None = Field(default=None, description="another dimension of a multi-frame image: KEYWORD=INDEX")

    @model_validator(mode="after")
    def _names_something(self) -> "VolumeRule":
        if not self.named:
            raise ValueError("names nothing; remove it, or name what sets the volume apart")
        return self

    @property
    def named(self) -> dict[str, Any]:
        """The keys that are given, with their values."""
        return {key: value for key in type(self).model_fields if (value := getattr(self, key)) not in (None, ())}


class SeriesRule(Frozen):
    """The series that may feed a channel. Every condition given must hold; patterns are searched for, ignoring case."""

    modality: tuple[Modality, ...] = Field(min_length=1, description="DICOM Modality, any of")
    body_part: tuple[Pattern, ...] = Field(default=(), description="any of; a series without one is kept")
    description: tuple[Pattern, ...] = Field(default=(), description="SeriesDescription or ProtocolName, any of")
    exclude_description: tuple[Pattern, ...] = Field(default=(), description="none of")
    image_type: tuple[str, ...] = Field(default=(), description="values that ImageType must contain, all of")
    exclude_image_type: tuple[str, ...] = Field(default=(), description="values that ImageType must not contain")
    orientation: tuple[Plane, ...] = Field(default=(), description="plane of the slices, any of")
    slice_thickness: Range | None = None
    slice_spacing: Range | None = None
    pixel_spacing: Range | None = None
    min_slices: int = Field(default=3, ge=1)
    energy_kev: float | None = Field(
        default=None, gt=0, le=1000, description="energy of a mono-energetic CT image in keV"
    )
    phase: tuple[Phase, ...] = Field(default=(), description="contrast phase, any of; unknown phases are left")
    volume: VolumeRule | None = Field(default=None, description="which one, of a series that holds several volumes")
    prefer: tuple[Preference, ...] = Field(
        default=("thinnest", "most_slices", "lowest_series_number"), description="order among several that match"
    )


class Channel(Frozen):
    """One input channel of the network."""

    name: str
    unit: Unit | None = Field(default=None, description="of its values; empty: HU of CT alone")
    series: SeriesRule

    @model_validator(mode="after")
    def _unit_is_of_the_modality(self) -> "Channel":
        if self.unit is None:
            return self
        is_pt = "PT" in self.series.modality
        if is_pt and self.unit not in PT_UNITS:
            raise ValueError(f"unit: {self.unit!r} is no unit of PET; one of {', '.join(PT_UNITS)}")
        if not is_pt and self.unit in PT_UNITS:
            raise ValueError(f"unit: {self.unit!r} is a unit of PET; this channel takes {self.series.modality}")
        return self


class Code(Frozen):
    """A coded concept (PS3.3 section 8.8)."""

    value: ShortString = Field(min_length=1)
    scheme: ShortString = Field(min_length=1)
    meaning: LongString = Field(min_length=1)


class LabelSpec(Frozen):
    """One label: its value in the network's output, and its meaning."""

    value: int = Field(ge=1, le=65535)
    name: LongString = Field(min_length=1)
    category: Code = Code(value="85756007", scheme="SCT", meaning="Tissue")
    type: Code = Code(value="85756007", scheme="SCT", meaning="Tissue")
    laterality: Code | None = None
    colour: tuple[Byte, Byte, Byte] = (255, 0, 0)


class KeepLargest(Frozen):
    """Keep the largest connected components (26 neighbours), of each label or of all of them together."""

    step: Literal["keep_largest"]
    labels: tuple[int, ...] = ()
    together: bool = False
    components: int = Field(default=1, ge=1)


class RemoveSmall(Frozen):
    """Remove connected components below a volume."""

    step: Literal["remove_small"]
    labels: tuple[int, ...] = ()
    min_volume_mm3: float = Field(gt=0)


class FillHoles(Frozen):
    """Fill holes that a label encloses, with that label; voxels of other labels stay."""

    step: Literal["fill_holes"]
    labels: tuple[int, ...] = ()
    max_volume_mm3: float | None = Field(default=None, gt=0)


class Open(Frozen):
    """Remove parts into which a ball of a radius in mm does not fit, such as thin rims (morphological opening)."""

    step: Literal["open"]
    labels: tuple[int, ...] = ()
    radius_mm: float = Field(gt=0, le=50)


class Smooth(Frozen):
    """Smooth label surfaces at a scale in mm; labels stay disjoint and thin structures connected."""

    step: Literal["smooth"]
    labels: tuple[int, ...] = ()
    sigma_mm: float = Field(gt=0, le=20)


PostprocessingStep = Annotated[KeepLargest | RemoveSmall | FillHoles | Open | Smooth, Field(discriminator="step")]
"""Steps run in the order given; ``labels: []`` means every label of the model."""


class ProfileSettings(Frozen):
    """The settings with which a profile runs the networks; the defaults are those of ``fast``."""

    mirroring: bool = False
    step_size: float = Field(default=0.8, gt=0, le=1)
    bf16: bool = Field(default=True, description="the network in bfloat16, where the device computes that faster")
    crop_to_body: bool = Field(default=True, description="CT: leave out the air and the table around the patient")
    finest_useful_spacing: float | None = Field(
        default=None, gt=0, description="mm; voxels are averaged as long as they stay at most this large"
    )


class Inference(Frozen):
    """The settings of the networks; ``mirroring`` and ``step_size`` are for ``exact`` and ``equal``."""

    profile: Profile = "exact"
    mirroring: bool = True
    step_size: float = Field(default=0.5, gt=0, le=1)
    folds: tuple[int | Literal["all"], ...] = Field(default=(), description="empty: all that the package holds")
    fast: ProfileSettings = ProfileSettings()

    @property
    def active(self) -> ProfileSettings:
        """The settings of the chosen profile."""
        if self.profile == "fast":
            return self.fast
        return ProfileSettings(mirroring=self.mirroring, step_size=self.step_size, bf16=False, crop_to_body=False)


class Output(Frozen):
    """The form of the result in the PACS."""

    segmentation_type: Literal["BINARY", "LABELMAP"] = "BINARY"
    series_description: LongString = Field(default="", description="empty: the model's name")
    series_number: int | None = Field(default=None, ge=1, le=2**31 - 1, description="empty: 9000 + source number")
    character_set: Literal["utf8", "source"] = "utf8"
    when_empty: Literal["object", "none"] = "none"


class Measure(Frozen):
    """The measurements of each label in every run, beside its volume."""

    intensity: bool = Field(default=True, description="mean and deviation of the image's values; of PET the peak too")
    diameters: bool = Field(default=True, description="long and short axis on the slice of the largest area")


class ModelConfig(Frozen, populate_by_name=True):
    """The whole of ``model.yaml``."""

    schema_version: Literal[1] = Field(alias="schema")
    name: ModelName
    version: LongString = Field(default="1", min_length=1)
    description: str = ""
    orientation: Orientation
    channels: tuple[Channel, ...] = Field(min_length=1)
    on_other_grid: Literal["refuse", "resample"] = "refuse"
    geometry: GeometryRule = Field(default="regular", description="any: tilted and uneven stacks as well")
    labels: tuple[LabelSpec, ...] = Field(min_length=1)
    postprocessing: tuple[PostprocessingStep, ...] = ()
    inference: Inference = Inference()
    output: Output = Output()
    measure: Measure | None = Field(default=None, description="empty: none but the volume")

    @model_validator(mode="before")
    @classmethod
    def _names_are_values(cls, content: Any) -> Any:
        """Replace names of labels in the steps by their values."""
        if not isinstance(content, dict) or not isinstance(content.get("postprocessing"), list):
            return content
        listed = content.get("labels")
        entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
        values = {entry["name"]: entry.get("value") for entry in entries if isinstance(entry.get("name"), str)}
        steps = []
        for number, step in enumerate(content["postprocessing"]):
            if isinstance(step, dict) and isinstance(step.get("labels"), list):
                found = [
                    _value_of(one, values, ("postprocessing", number, "labels", n))
                    for n, one in enumerate(step["labels"])
                ]
                steps.append(step | {"labels": found})
            else:
                steps.append(step)
        return content | {"postprocessing": steps}

    @model_validator(mode="after")
    def _labels_are_consistent(self) -> "ModelConfig":
        for key in ("value", "name"):
            seen: set[object] = set()
            for number, label in enumerate(self.labels):
                if getattr(label, key) in seen:
                    raise problem_at(("labels", number, key), f"an earlier label has the same {key}")
                seen.add(getattr(label, key))
        values = [label.value for label in self.labels]
        for number, step in enumerate(self.postprocessing):
            for position, value in enumerate(step.labels):
                if value not in values:
                    raise problem_at(("postprocessing", number, "labels", position), f"no label has the value {value}")
        return self

    @property
    def content_description(self) -> str:
        """The description cut to the length of DICOM's Content Description (VR LO); three dots mark that it was cut."""
        text = one_line(self.description)
        return text if len(text) <= LONGEST else text[: LONGEST - 3].rstrip() + "..."


def parse_model_config(data: bytes, path: Path) -> ModelConfig:
    """Validate the bytes of a ``model.yaml``; the path only appears in errors and is not read.

    Raises
    ------
    PackageInvalid
        If the content is not a valid ``model.yaml``; the text names file, line where known, key and reason.
    """
    try:
        text = data.decode("utf-8")
        content = load_yaml(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError also of a date such as 2020-13-01
        raise PackageInvalid(f"{path}:{not_yaml(error)}") from error
    if not isinstance(content, dict):
        raise PackageInvalid(f"{path}:1: (whole file): no keys in the file; write it like this: schema: 1")
    try:
        return ModelConfig.model_validate(content)
    except ValidationError as error:
        raise PackageInvalid("\n".join(problems_of(error, text, content, ModelConfig, path))) from error


def _value_of(label: object, values: Mapping[str, object], location: Location) -> object:
    if not isinstance(label, str) or label in values:
        return values.get(label, label) if isinstance(label, str) else label
    if label.isdigit():
        return label
    close = close_to(label, values)
    raise problem_at(location, f"no label is called {label}; " + (f"did you mean {close}?" if close else ""))
