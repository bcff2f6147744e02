"""The results of calls."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from segnode_client.errors import CallFailed, failed_with
from segnode_client.v1 import segmentation_pb2 as messages

State = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class Mask:
    """One mask on the shared volume.

    Attributes
    ----------
    path
        Its path, in the view in which the image was named.
    seg_path
        Path of its DICOM SEG; empty if none was requested.
    volumes_ml
        Millilitres by label, in the order of the labels' values.
    model, model_sha256
        Its model; empty for work on a mask alone.
    existing
        Whether the mask existed already, made from the same inputs.
    timings_s
        Seconds by stage.
    warnings
        Notes for a person.
    """

    path: str
    seg_path: str = ""
    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    model: str = ""
    model_sha256: str = ""
    existing: bool = False
    timings_s: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def mask_path(self) -> str:
        """Return ``path`` by the name that REST gives it."""
        return self.path

    @classmethod
    def of(cls, message: messages.MaskResponse) -> "Mask":
        """Convert a message to a mask."""
        return cls(
            path=message.mask_path,
            seg_path=message.seg_path,
            volumes_ml={one.label: one.ml for one in message.volumes} or dict(message.volumes_ml),  # older services
            model=message.model,
            model_sha256=message.model_sha256,
            existing=message.existing,
            timings_s=dict(message.timings_s),
            warnings=tuple(message.warnings),
        )


@dataclass(frozen=True)
class Channel:
    """One image that a model takes: its name, the request's field, modalities, and contrast phases (none: any)."""

    name: str
    field: str
    modality: tuple[str, ...]
    phase: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """One model of the service.

    Attributes
    ----------
    alias
        The name by which it is called.
    model, version
        The package behind it.
    channels
        The images that it takes.
    labels
        Value and name of each label.
    usable
        False if its package is missing or damaged.
    """

    alias: str
    model: str
    version: str
    channels: tuple[Channel, ...]
    labels: Mapping[int, str]
    usable: bool

    @classmethod
    def of(cls, message: messages.OfferedModel) -> "Model":
        """Convert a message to a model."""
        return cls(
            alias=message.alias,
            model=message.model,
            version=message.version,
            channels=tuple(Channel(c.name, c.field, tuple(c.modality), tuple(c.phase)) for c in message.channels),
            labels={label.value: label.name for label in message.labels},
            usable=message.usable,
        )


@dataclass(frozen=True)
class Job:
    """One job with its state, progress and masks.

    Attributes
    ----------
    id, state, progress
        ID, state, and progress from 0 to 1.
    masks
        Masks of a job that is done, by task.
    code, message, retry
        Reason of a failure or cancellation, and whether the same call may succeed later.
    """

    id: str
    state: State
    progress: float
    masks: Mapping[str, Mask] = field(default_factory=dict)
    code: str = ""
    message: str = ""
    retry: bool = False

    @property
    def is_at_its_end(self) -> bool:
        """Tell whether the job has reached its end and will not change."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def failure(self) -> CallFailed | None:
        """Return the failure or cancellation as an error to raise; None for every other job."""
        return failed_with(self.code, self.message, retry=self.retry) if self.code else None

    @classmethod
    def of(cls, message: messages.Job) -> "Job":
        """Convert a message to a job."""
        name = messages.Job.State.Name(message.state).removeprefix("STATE_").lower()
        masks = {task: Mask.of(mask) for task, mask in message.masks.items()}
        problem = message.problem
        return cls(
            id=message.id,
            state=cast(State, name),
            progress=message.progress,
            masks=masks,
            code=problem.code,
            message=problem.message,
            retry=problem.retry,
        )
