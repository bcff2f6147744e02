"""Jobs: what is asked for, on a durable queue, and how far it has come.

DBOS keeps the queue, in SQLite or PostgreSQL; every instance of the service that shares the database and the work
folder answers for every job. Progress is a small file, since it is of no use after a crash.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal
from uuid import uuid4

from dbos import DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions, WorkflowStatus
from pydantic import BaseModel, ConfigDict, Field

from core.errors import PackageInvalid, RequestCode, RequestRefused, RetryLater, SegnodeError, StudyRejected
from services.requests import AnyRequest
from services.results import MaskResult
from services.settings import ServiceSettings

QUEUE: Final = "jobs"
VERSION: Final = "1"
"""Pinned application version; raise it when the arguments or steps of the workflow change."""
FLOW: Final = "ServiceFlow"
INSTANCE: Final = "service"

State = Literal["queued", "running", "done", "failed", "cancelled"]
_STATES: Final[dict[str, State]] = {
    "ENQUEUED": "queued",
    "DELAYED": "queued",
    "PENDING": "running",
    "CANCELLED": "cancelled",
}


class Problem(BaseModel):
    """Why a call or a job failed."""

    model_config = ConfigDict(frozen=True)

    code: str = Field(description="one that tools can rely on", examples=["wrong_phase"])
    message: str = ""
    retry: bool = Field(default=False, description="whether the same may succeed later")

    @classmethod
    def of(cls, error: SegnodeError) -> "Problem":
        """The problem that an error states."""
        if isinstance(error, (RequestRefused, StudyRejected)):
            return cls(code=str(error.code), message=error.message, retry=error.code == RequestCode.QUEUE_FULL)
        if isinstance(error, RetryLater):
            return cls(code="retry_later", message=str(error), retry=True)
        # Their texts name folders of this machine; its own log has them.
        return cls(code="model_unusable" if isinstance(error, PackageInvalid) else "service_misconfigured")


class Job(BaseModel):
    """One job, as far as it has come."""

    model_config = ConfigDict(frozen=True)

    id: str
    state: State
    progress: float = Field(ge=0, le=1)
    masks: dict[str, MaskResult] = Field(default={}, description="of a job that is done, by task")
    problem: Problem | None = Field(default=None, description="of a job that failed or was cancelled")

    @property
    def is_at_its_end(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ("done", "failed", "cancelled")


def workflow_id(job: str) -> str:
    """What the queue calls a job."""
    return f"job.{job}"


class Progress:
    """How far the running jobs of all workers have come: a file each, below the work folder."""

    def __init__(self, work: Path) -> None:
        self._folder = work / "progress"
        self._folder.mkdir(parents=True, exist_ok=True)

    def show(self, job: str, done: float) -> None:
        """Say how far a job is; if the disk does not take it, nobody needs it."""
        temporary = self._folder / f".{job}"
        with suppress(OSError):
            temporary.write_text(f"{done:.4f}")
            temporary.replace(self._folder / job)

    def read(self, job: str) -> float:
        """How far a job is, 0 to 1."""
        try:
            return min(1.0, max(0.0, float((self._folder / job).read_text())))
        except (OSError, ValueError):
            return 0.0

    def forget(self, job: str) -> None:
        """Remove what was said of a job that is at its end."""
        with suppress(OSError):
            (self._folder / job).unlink()


class Jobs:
    """The queue, from the side of those who ask.

    Parameters
    ----------
    settings
        The service's.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._client = DBOSClient(system_database_url=settings.database, serializer=DBOSPortableJSONSerializer())
        self._queue = settings.queue
        self._progress = Progress(settings.work)

    def submit(self, request: AnyRequest) -> str:
        """Queue a request; gives the job's ID.

        Raises
        ------
        RequestRefused
            ``queue_full``.
        """
        waiting = self._client.list_workflows(
            status=["ENQUEUED", "DELAYED"],
            queue_name=QUEUE,
            limit=self._queue.longest,
            load_input=False,
            load_output=False,
        )
        if len(waiting) >= self._queue.longest:
            raise RequestRefused(RequestCode.QUEUE_FULL, f"Come again in {self._queue.retry_after_seconds} s.")
        job = uuid4().hex
        options: EnqueueOptions = {
            "queue_name": QUEUE,
            "workflow_name": f"{FLOW}.run",
            "workflow_id": workflow_id(job),
            "app_version": VERSION,
            "class_name": FLOW,
            "instance_name": INSTANCE,
        }
        self._client.enqueue(options, job, request.model_dump(mode="json"))
        return job

    def read(self, jobs: Iterable[str]) -> dict[str, Job]:
        """Those of the jobs that exist, by ID."""
        wanted = [workflow_id(job) for job in jobs]
        if not wanted:
            return {}
        found = self._client.list_workflows(workflow_ids=wanted, load_input=False, load_output=True)
        return {job.id: job for job in map(self._job, found)}

    def get(self, job: str) -> Job:
        """One job.

        Raises
        ------
        RequestRefused
            ``unknown_job``.
        """
        found = self.read([job])
        if job not in found:
            raise RequestRefused(RequestCode.UNKNOWN_JOB, "Jobs are forgotten some days after their end.")
        return found[job]

    def cancel(self, job: str) -> Job:
        """Have a job end; one that runs ends at its network's next step.

        Raises
        ------
        RequestRefused
            ``unknown_job``.
        """
        if not self.get(job).is_at_its_end:
            self._client.cancel_workflow(workflow_id(job))
        return self.get(job)

    def close(self) -> None:
        """Close the connection to the database."""
        self._client.destroy()

    def _job(self, status: WorkflowStatus) -> Job:
        job = status.workflow_id.removeprefix("job.")
        if status.status == "SUCCESS":
            return finished(job, status.output)
        state = _STATES.get(status.status, "failed")
        if state == "cancelled":
            cancelled = Problem(code="cancelled", message="The job was cancelled.")
            return Job(id=job, state=state, progress=1.0, problem=cancelled)
        if state == "failed":
            died = status.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
            problem = Problem(code="worker_died" if died else "internal_error", message="The service's log says where.")
            return Job(id=job, state=state, progress=1.0, problem=problem)
        return Job(id=job, state=state, progress=self._progress.read(job) if state == "running" else 0.0)


def finished(job: str, output: Any) -> Job:
    """A job that has run to its end, of what its workflow gave."""
    if (problem := output.get("problem")) is not None:
        return Job(id=job, state="failed", progress=1.0, problem=Problem.model_validate(problem))
    masks = {task: MaskResult.model_validate(mask) for task, mask in output["masks"].items()}
    return Job(id=job, state="done", progress=1.0, masks=masks)
