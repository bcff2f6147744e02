"""One job, as its caller sees it."""

from typing import Any, Final, Literal

from pydantic import BaseModel, Field, ValidationError

from core.errors import PackageInvalid, RequestCode, RequestRefused, RetryLater, SegnodeError, StudyRejected
from core.event_log import EventLog
from core.frozen import Frozen
from services.jobs.results import MaskResult

State = Literal["queued", "running", "done", "failed", "cancelled"]
_MAY_SUCCEED_LATER: Final = (RequestCode.QUEUE_FULL, RequestCode.DEADLINE_EXCEEDED)

_log = EventLog()


class Problem(Frozen, extra="ignore"):
    """The reason why a call or a job failed."""

    code: str = Field(description="one that tools can rely on", examples=["wrong_phase"])
    message: str = ""
    retry: bool = Field(default=False, description="whether the same may succeed later")

    @classmethod
    def of(cls, error: SegnodeError) -> "Problem":
        """Convert an error to a problem."""
        if isinstance(error, (RequestRefused, StudyRejected)):
            return cls(code=str(error.code), message=error.message, retry=error.code in _MAY_SUCCEED_LATER)
        if isinstance(error, RetryLater):
            return cls(code="retry_later", message=str(error), retry=True)
        # Their texts name folders of this machine; its own log has them.
        return cls(code="model_unusable" if isinstance(error, PackageInvalid) else "service_misconfigured")


class Job(Frozen, extra="ignore"):
    """One job with its state, progress and result."""

    id: str
    state: State
    progress: float = Field(ge=0, le=1)
    masks: dict[str, MaskResult] = Field(default={}, description="of a job that is done, by task")
    problem: Problem | None = Field(default=None, description="of a job that failed or was cancelled")

    @property
    def is_at_its_end(self) -> bool:
        """Tell whether the job has reached its end and will not change."""
        return self.state in ("done", "failed", "cancelled")


class _Answer(BaseModel):
    masks: dict[str, MaskResult] = {}
    problem: Problem | None = None


def finished(job: str, output: Any) -> Job:
    """Build a finished job from the output of its workflow."""
    try:
        answer = _Answer.model_validate(output)
    except ValidationError:  # of another version of this program: one such job must not hold up the followers of others
        _log.error("answer_not_read", job=job)
        message = "Its result is of another version of the service; submit the job again."
        answer = _Answer(problem=Problem(code="internal_error", message=message))
    state: State = "done" if answer.problem is None else "failed"
    return Job(id=job, state=state, progress=1.0, masks=answer.masks, problem=answer.problem)
