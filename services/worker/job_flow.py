"""A worker's workflow of a job: one step, whose outcome is the job's result."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from dbos import DBOS, DBOSConfiguredInstance
from pydantic import TypeAdapter

from core.cancellation import Cancellation
from core.errors import Cancelled, RequestCode, RequestRefused, RetryLater, SegnodeError
from core.event_log import EventLog, bound
from core.raised_at import raised_at
from runtime.attempts import Attempts
from runtime.devices import ends_with_device
from runtime.watchdog import Line, timed
from segmentation.inference.model_pool import ModelPool
from services.images.image_reader import ImageReader
from services.images.limits import Limits
from services.images.shared_paths import Roots
from services.jobs.attempt_marks import AttemptMarks
from services.jobs.job import Problem
from services.jobs.job_queue import INSTANCE, workflow_id
from services.jobs.progress import Progress
from services.jobs.requests import AnyRequest, PostprocessRequest, SmoothRequest
from services.jobs.results import MaskResult
from services.jobs.timeouts import JobTimeouts
from services.masks.mask_locks import Locks
from services.worker.mask_job import MaskJob
from services.worker.segment_job import SegmentJob
from services.worker.task_models import Packages

MAX_DEATHS: Final = 3
"""Number of workers that may die over one job."""
LOOK_EVERY_S: Final = 0.5
"""Seconds between two checks whether a running job was cancelled, and between two notes of its progress."""

_log = EventLog()
_ANY: Final[TypeAdapter[AnyRequest]] = TypeAdapter(AnyRequest)


@DBOS.dbos_class()
class ServiceFlow(DBOSConfiguredInstance):
    """The workflow of a job, bound to one worker's volume and models.

    Parameters
    ----------
    roots, packages, networks
        Folders that jobs may read and write, their models, and the loaded networks.
    work
        The service's work folder.
    limits
        Limits of a job.
    line
        Connection to the supervisor, which ends this process if a job takes too long.
    attempts
        Tell how often a worker has died over a job.
    """

    def __init__(
        self,
        roots: Roots,
        packages: Packages,
        networks: ModelPool,
        work: Path,
        limits: Limits,
        line: Line,
        attempts: Attempts,
    ) -> None:
        self._roots = roots
        self._packages = packages
        self._networks = networks
        self._limits = limits
        self._line = line
        self._locks = Locks(work / "locks")
        self._progress = Progress(work)
        self._timeouts = JobTimeouts(work)
        self._marks = AttemptMarks(work)
        self._attempts = attempts
        super().__init__(INSTANCE)

    @DBOS.workflow(max_recovery_attempts=None)
    def run(self, job: str, request: dict[str, Any]) -> dict[str, Any]:
        """Run one job; a problem is part of the result, since the queue would keep an exception's text as it is.

        The queue may begin it any number of times: its count grows with every stop of the service, too.
        """
        return self.answer(job, request)

    @DBOS.step()
    def answer(self, job: str, request: dict[str, Any]) -> dict[str, Any]:
        """Make the masks, unless too many workers have died over them."""
        with bound(job=job):
            return self._answer(job, request)

    def _answer(self, job: str, request: dict[str, Any]) -> dict[str, Any]:
        start = time.perf_counter()
        self._progress.begin(job)
        try:
            with self._attempts.counted(self._marks.new(job), partial(self._marks.all_of, job)) as attempt:
                deaths = attempt.deaths
                answer = self._try(job, request) if deaths < MAX_DEATHS else _set_aside(deaths)
        except OSError as error:
            # Errors of the volume have codes of their own: this one is of the worker's own disk, full perhaps.
            _log.error("work_folder_failed", problem=error.strerror)
            answer = _problem(RetryLater(f"the service's disk cannot be read or written: {error.strerror}"))
        self._timeouts.forget(job)
        self._marks.forget(job)
        outcome = answer.get("problem", {}).get("code", "done")
        seconds = round(time.perf_counter() - start, 3)
        _log.info("job_ended", task=request["task"], outcome=outcome, seconds=seconds)
        return answer

    def _try(self, job: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            if self._timeouts.is_noted(job):
                raise RequestRefused(RequestCode.JOB_TOO_LONG, f"limits.job_minutes is {self._limits.job_minutes:g}.")
            with ends_with_device({"job": job}), ExitStack() as clock:

                def begin_time() -> None:
                    clock.close()
                    clock.enter_context(timed(self._line, job, 0, self._limits.job_minutes * 60.0))

                begin_time()
                masks = self._masks(job, _ANY.validate_python(request), begin_time)
            return {"masks": {task: mask.model_dump(mode="json") for task, mask in masks.items()}}
        except Cancelled:
            return {"problem": Problem(code="cancelled", message="The job was cancelled.").model_dump()}
        except SegnodeError as error:
            answer = _problem(error)
            if answer["problem"]["code"] in ("model_unusable", "service_misconfigured"):
                _log.error("job_not_run", problem=str(error))
            return answer
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - a job's outermost loop: whatever happens, its caller gets an answer
            at = raised_at(error.__traceback__)
            _log.error("job_failed", error=type(error).__name__, at=at)
            return {"problem": Problem(code="internal_error", message=f"{type(error).__name__} at {at}").model_dump()}

    def tidy(self, before: float) -> None:
        """Remove the files of jobs whose workers died; ``before`` is Unix time."""
        self._locks.tidy()
        self._progress.tidy(before)
        self._timeouts.tidy(before)
        self._marks.tidy(before)

    def _masks(self, job: str, request: AnyRequest, begin_time: Callable[[], None]) -> dict[str, MaskResult]:
        watch = _Watch(job, self._progress)
        token = Cancellation(watch.is_cancelled)
        # While another job makes the mask, this one takes none of its own time.
        if isinstance(request, (SmoothRequest, PostprocessRequest)):
            work = MaskJob(self._roots, self._locks, self._limits)
            return {request.task: work.run(request, watch.show, token, begin_time)}
        reader = ImageReader(self._limits, token)
        inference = SegmentJob(self._roots, self._packages, self._networks, self._locks, reader)
        return inference.run(request, watch.show, token, begin_time)


def _problem(error: SegnodeError) -> dict[str, Any]:
    return {"problem": Problem.of(error).model_dump()}


def _set_aside(deaths: int) -> dict[str, Any]:
    died = Problem(
        code="worker_died", message=f"{deaths} workers died over this job. The service's log has the details."
    )
    return {"problem": died.model_dump()}


class _Watch:
    """A running job's watch, which looks at the clock before it touches disk or database."""

    def __init__(self, job: str, progress: Progress) -> None:
        self._job = job
        self._progress = progress
        self._shown = self._asked = time.monotonic()

    def show(self, done: float) -> None:
        """Write the share that is done, now and then."""
        if time.monotonic() - self._shown >= LOOK_EVERY_S:
            self._shown = time.monotonic()
            self._progress.show(self._job, done)

    def is_cancelled(self) -> bool:
        """Return whether the job's caller has cancelled it, as far as a look now and then can tell."""
        if time.monotonic() - self._asked < LOOK_EVERY_S:
            return False
        self._asked = time.monotonic()
        status = DBOS.get_workflow_status(workflow_id(self._job))
        return status is not None and status.status == "CANCELLED"
