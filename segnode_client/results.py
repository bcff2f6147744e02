"""What a call answers."""

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
        Where it is, in the view in which the image was named.
    seg_path
        The same as a DICOM SEG; empty where none was asked for.
    volumes_ml
        Millilitres by label.
    model, model_sha256
        What made it; empty for work on a mask alone.
    existing
        Whether it was there already, made of the very same.
    timings_s
        Seconds by stage.
    warnings
        What a person should know.
    """

    path: str
    seg_path: str = ""
    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    model: str = ""
    model_sha256: str = ""
    existing: bool = False
    timings_s: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, message: messages.MaskResponse) -> "Mask":
        """The mask of a message."""
        return cls(
            path=message.mask_path,
            seg_path=message.seg_path,
            volumes_ml=dict(message.volumes_ml),
            model=message.model,
            model_sha256=message.model_sha256,
            existing=message.existing,
            timings_s=dict(message.timings_s),
            warnings=tuple(message.warnings),
        )


@dataclass(frozen=True)
class Job:
    """One job, as far as it has come.

    Attributes
    ----------
    id, state, progress
        Which it is, and how far; 0 to 1.
    masks
        Of a job that is done, by task.
    code, message, retry
        Why it failed or was cancelled, and whether the same may succeed later.
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
        """Whether nothing will change any more."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def failure(self) -> CallFailed | None:
        """Why it failed or was cancelled, as an error to raise; None of every other job."""
        return failed_with(self.code, self.message, retry=self.retry) if self.code else None

    @classmethod
    def of(cls, message: messages.Job) -> "Job":
        """The job of a message."""
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
