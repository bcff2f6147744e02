"""The requests of the service: one schema behind gRPC, REST and the queue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, Field, StrictBool, TypeAdapter, ValidationError, model_validator

from core.errors import RequestCode, RequestRefused
from core.frozen import Frozen
from core.model_config import Channel, Open, Phase, PostprocessingStep, Smooth
from core.validation_message import plain_message
from services.tasks import AliasName, Task

Output = Literal["dicom_seg"]
Registration = Literal["none", "rigid"]
SharedPath = Annotated[str, Field(min_length=1, max_length=4096)]
"""As the caller sees it: absolute, or ``ROOT:relative/path``."""
ChannelName = Annotated[str, Field(min_length=1, max_length=256)]


PHASE_OF_FIELD: Final[Mapping[str, Phase]] = {
    "image_A_path": "arterial",
    "image_P_path": "portal",
    "image_D_path": "delayed",
}
"""Expected phase of an image, by the field that names it."""


@dataclass(frozen=True)
class ImagePath:
    """An image's path, and the contrast phases that it may be of; none: any."""

    path: SharedPath
    phases: tuple[Phase, ...]


class _Segmentation(Frozen):
    force: StrictBool = Field(
        default=False, description="make masks anew, though there are some of these images and models"
    )
    output: tuple[Output, ...] = Field(default=(), description="beside the mask; dicom_seg needs a folder of DICOM")


class _TaskSegmentation(_Segmentation):
    @property
    def name(self) -> Task:
        """Return the task, by which the mask comes."""
        task: Task = self.task  # type: ignore[attr-defined]  # each kind has its own
        return task

    def paths(self, channels: Sequence[Channel]) -> dict[str, ImagePath]:
        """Return the images by the field that names each, in the order of the model's channels."""
        phases = {field: (phase,) for field, phase in PHASE_OF_FIELD.items()}
        return {field: ImagePath(getattr(self, field), phases.get(field, ())) for field in image_fields(self.name)}


class TotalsegRequest(_TaskSegmentation):
    """Organs; the network sees no voxels finer than 1 mm, the mask lies on the image's own grid."""

    task: Literal["totalseg"] = "totalseg"
    image_path: SharedPath = Field(examples=["/mnt/cases/0001/image.nii.gz"])


class VesselRequest(_TaskSegmentation):
    """Kidney, artery and vein in the physical space of A."""

    task: Literal["vessel"] = "vessel"
    image_A_path: SharedPath = Field(description="arterial phase", examples=["/mnt/cases/0001/A.nii.gz"])
    image_P_path: SharedPath = Field(description="portal phase", examples=["/mnt/cases/0001/P.nii.gz"])
    registration: Registration = Field(default="none", description="rigid: P is moved and turned onto A first")


class UreterRequest(_TaskSegmentation):
    """Ureter and kidney, of a delayed phase."""

    task: Literal["ureter"] = "ureter"
    image_D_path: SharedPath = Field(description="delayed phase", examples=["/mnt/cases/0001/D.nii.gz"])


class TumorRequest(_TaskSegmentation):
    """Kidney and tumour."""

    task: Literal["tumor"] = "tumor"
    image_path: SharedPath = Field(examples=["/mnt/cases/0001/image.nii.gz"])


class AliasImages(_Segmentation):
    """The images of a model: ``image_path`` where it takes one, else each by the name of its channel."""

    image_path: SharedPath | None = Field(
        default=None, description="of a model of one channel", examples=["/mnt/cases/0001/image.nii.gz"]
    )
    images: dict[ChannelName, SharedPath] = Field(
        default={}, max_length=32, description="by channel, as GET /v1/models names them"
    )

    @model_validator(mode="after")
    def _images_are_named_once(self) -> "AliasImages":
        if (self.image_path is None) == (not self.images):
            raise ValueError("give image_path or images, one of the two")
        return self


class AliasRequest(AliasImages):
    """A segmentation by the model behind any alias; ``GET /v1/models`` lists them."""

    task: Literal["alias"] = "alias"
    alias: AliasName = Field(examples=["liver"])

    @property
    def name(self) -> str:
        """Return the alias, by which the mask comes."""
        return self.alias

    def paths(self, channels: Sequence[Channel]) -> dict[str, ImagePath]:
        """Return the images by the field that names each, in the order of the model's channels.

        Raises
        ------
        RequestRefused
            ``invalid_request`` if they are not the images of these channels; names that were sent are not repeated.
        """
        names = [channel.name for channel in channels]
        if self.image_path is not None:
            if len(names) > 1:
                detail = f"image_path: the model takes {len(names)} images; give images, by channel: {', '.join(names)}"
                raise RequestRefused(RequestCode.INVALID_REQUEST, f"{detail}.")
            return {"image_path": ImagePath(self.image_path, channels[0].series.phase)}
        if set(self.images) != set(names) or len(set(names)) < len(names):
            raise RequestRefused(RequestCode.INVALID_REQUEST, f"images: the model's channels are {', '.join(names)}.")
        return {f"images.{c.name}": ImagePath(self.images[c.name], c.series.phase) for c in channels}


TaskRequest = TotalsegRequest | VesselRequest | UreterRequest | TumorRequest
SegmentationRequest = TaskRequest | AliasRequest
_REQUESTS: Mapping[str, type[TaskRequest]] = {
    "totalseg": TotalsegRequest,
    "vessel": VesselRequest,
    "ureter": UreterRequest,
    "tumor": TumorRequest,
}


class BatchRequest(_Segmentation):
    """Several segmentations on one reading of each image."""

    task: Literal["batch"] = "batch"
    tasks: tuple[Task, ...] = Field(min_length=1, max_length=len(_REQUESTS))
    image_path: SharedPath | None = Field(default=None, description="for totalseg and tumor")
    image_A_path: SharedPath | None = Field(default=None, description="for vessel")
    image_P_path: SharedPath | None = Field(default=None, description="for vessel")
    image_D_path: SharedPath | None = Field(default=None, description="for ureter")
    registration: Registration = "none"

    @model_validator(mode="after")
    def _each_task_has_its_images(self) -> "BatchRequest":
        if len(set(self.tasks)) != len(self.tasks):
            raise ValueError("a task is named twice")
        for task in self.tasks:
            for name in image_fields(task):
                if getattr(self, name) is None:
                    raise ValueError(f"{task} needs {name}")
        return self

    @property
    def parts(self) -> tuple[TaskRequest, ...]:
        """Return the parts as requests of their own, in the order given."""
        return tuple(
            _REQUESTS[task].model_validate(
                {name: value for name, value in self if name in _REQUESTS[task].model_fields and name != "task"}
            )
            for task in self.tasks
        )


class SmoothRequest(Frozen):
    """Smooth labels of a mask; the image is not read."""

    task: Literal["smooth"] = "smooth"
    mask_path: SharedPath = Field(examples=["/mnt/cases/0001/mask/total.nii.gz"])
    labels: tuple[str, ...] = Field(default=(), description="names or values; none: every label", examples=[["kidney"]])
    method: Literal["gaussian", "open"] = "gaussian"
    strength: float = Field(gt=0, le=20, strict=True, description="width or radius in mm", examples=[1.0])
    force: StrictBool = False

    def steps(self, values: tuple[int, ...]) -> tuple[PostprocessingStep, ...]:
        """Return the request as steps of post-processing, on labels of these values."""
        if self.method == "gaussian":
            return (Smooth(step="smooth", labels=values, sigma_mm=self.strength),)
        return (Open(step="open", labels=values, radius_mm=self.strength),)


class PostprocessRequest(Frozen):
    """Apply steps of post-processing to a mask, as in ``model.yaml``; the image is not read."""

    task: Literal["postprocess"] = "postprocess"
    mask_path: SharedPath = Field(examples=["/mnt/cases/0001/mask/total.nii.gz"])
    steps: tuple[PostprocessingStep, ...] = Field(
        min_length=1, max_length=32, examples=[[{"step": "keep_largest", "labels": [1]}]]
    )
    force: StrictBool = False

    @model_validator(mode="after")
    def _each_label_has_its_turn(self) -> "PostprocessRequest":
        # A step works on each that is named: a long list of one label would keep a worker for hours.
        if any(len(set(step.labels)) < len(step.labels) for step in self.steps):
            raise ValueError("a step names a label twice")
        return self


MaskRequest = SmoothRequest | PostprocessRequest
AnyRequest = Annotated[
    TotalsegRequest
    | VesselRequest
    | UreterRequest
    | TumorRequest
    | AliasRequest
    | BatchRequest
    | SmoothRequest
    | PostprocessRequest,
    Field(discriminator="task"),
]
_ANY: TypeAdapter[AnyRequest] = TypeAdapter(AnyRequest)
Request = TypeVar("Request", bound=BaseModel)


def image_fields(task: str) -> tuple[str, ...]:
    """Return the fields of a task's request that name its images, in the order of the model's channels."""
    return tuple(name for name in _REQUESTS[task].model_fields if name.startswith("image"))


def parse_request(content: Any) -> AnyRequest:
    """Validate a request of any kind; ``task`` names the kind.

    Raises
    ------
    RequestRefused
        ``invalid_request``, naming each wrong field; values are not repeated.
    """
    try:
        return _ANY.validate_python(content)
    except ValidationError as error:
        raise RequestRefused(RequestCode.INVALID_REQUEST, in_words(error.errors())) from error


def in_words(problems: Sequence[Any]) -> str:
    """List Pydantic's errors, each with its field; values are not repeated, since they may name a patient."""
    said = []
    for one in problems:
        told = plain_message(one["msg"])
        if one["type"] == "union_tag_invalid":  # its text repeats the tag
            told = f"{one['ctx']['discriminator']} must be one of {one['ctx']['expected_tags']}"
        said.append(f"{'.'.join(map(str, one['loc'][1:])) or 'request'}: {told}")
    return "; ".join(said)
