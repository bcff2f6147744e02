"""Jobs on a durable queue: their requests, states and results.

DBOS keeps the queue, in SQLite or PostgreSQL; every instance of the service that shares the database and the work
folder answers for every job.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID, uuid4

from dbos import DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions, WorkflowStatus
from dbos import error as dbos_errors
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from core.errors import RequestCode, RequestRefused, RetryLater
from core.event_log import EventLog
from core.rate_limit import RateLimit
from runtime.lease_table import POSTGRES_CONNECTION, reason_of
from services.jobs.job import Job, Problem, State, finished
from services.jobs.job_files import is_job
from services.jobs.progress import Progress
from services.jobs.requests import AnyRequest
from services.settings import ServiceSettings

QUEUE: Final = "jobs"
VERSION: Final = "1"
"""Pinned application version; raise it when the arguments or steps of the workflow change."""
FLOW: Final = "ServiceFlow"
INSTANCE: Final = "service"
REQUEST: Final = "request"
"""Attribute of a job: hash of its request, since a repeated idempotency key must come with the same request."""
HOLDER: Final = "holder"
"""Attribute of a job: the call that waits for it and ends it when its caller is gone; None: it ends by itself."""
_SAY_AGAIN_S: Final = 60.0

_log = EventLog()

_STATES: Final[dict[str, State]] = {
    "ENQUEUED": "queued",
    "DELAYED": "queued",
    "PENDING": "running",
    "CANCELLED": "cancelled",
}


def workflow_id(job: str) -> str:
    """Return the queue's name of a job."""
    return f"job.{job}"


class Jobs:
    """The queue, from the callers' side; every method raises `RetryLater` while its database is unreachable.

    Parameters
    ----------
    settings
        The service's.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        # Lazy, and without tries of its own: callers are told that the database is away, and come again.
        self._client = DBOSClient(
            system_database_url=_impatient(settings.database),
            serializer=DBOSPortableJSONSerializer(),
            lazy=True,
            retry_connection_errors=False,
        )
        self._queue = settings.queue
        self._progress = Progress(settings.work)
        self._outages = RateLimit(_SAY_AGAIN_S)

    def submit(self, request: AnyRequest, key: UUID | None = None, holder: str | None = None) -> Job:
        """Queue a request, or find the job that the same key has queued before.

        Parameters
        ----------
        request
            The request.
        key
            The caller's idempotency key; it becomes the job's ID.
        holder
            The call that waits for the job, if any; `leave` may end the jobs that it holds.

        Raises
        ------
        RequestRefused
            ``queue_full``; ``invalid_request`` where the key has come with another request before.
        """
        attempt = 0
        while True:
            attempt += 1
            job = (key or uuid4()).hex + (f"-{attempt}" if attempt > 1 else "")
            with self._database():
                known = self._status(job) if key is not None else None
                if known is None:
                    if self._enqueue(job, request, holder):
                        return Job(id=job, state="queued", progress=0.0)
                    known = self._status(job)  # the same call came to another instance at this instant
                if known is not None and (found := self._taken_up(known, request, holder)) is not None:
                    return found

    def read(self, jobs: Iterable[str]) -> dict[str, Job]:
        """Return those of the jobs that exist, by ID."""
        wanted = [workflow_id(job) for job in jobs if is_job(job)]
        if not wanted:
            return {}
        with self._database():
            found = self._client.list_workflows(workflow_ids=wanted, load_input=False, load_output=True)
        return {job.id: job for job in map(self._job, found)}

    def get(self, job: str) -> Job:
        """Return one job.

        Raises
        ------
        RequestRefused
            ``unknown_job``.
        """
        found = self.read([job])
        if job not in found:
            raise RequestRefused(RequestCode.UNKNOWN_JOB, "Jobs are deleted some days after their end.")
        return found[job]

    def hold(self, job: str, holder: str | None) -> None:
        """Give a job to another call, or to none: then it goes on when its caller hangs up."""
        with self._database():
            self._client.update_workflow_attributes(workflow_id(job), {HOLDER: holder}, merge=True)

    def leave(self, job: str, holder: str, heirs: Sequence[str | None] = ()) -> None:
        """Cancel a job whose caller is gone, unless another call holds it; other calls that follow it take it over."""
        with self._database():
            known = self._status(job)
            if known is None or _attributes(known).get(HOLDER) != holder:
                return
            if heirs:
                self.hold(job, heirs[-1])
            else:
                self._client.cancel_workflow(workflow_id(job))

    def cancel(self, job: str) -> Job:
        """Cancel a job; a running one ends at its network's next step.

        Raises
        ------
        RequestRefused
            ``unknown_job``.
        """
        if not self.get(job).is_at_its_end:
            self.hold(job, None)  # whoever comes again with its key learns that it was ended on purpose
            with self._database():
                self._client.cancel_workflow(workflow_id(job))
        return self.get(job)

    def close(self) -> None:
        """Close the connection to the database."""
        self._client.destroy()

    def _enqueue(self, job: str, request: AnyRequest, holder: str | None) -> bool:
        """Enqueue a job; return False if the ID already exists."""
        waiting = self._client.list_workflows(
            status=["ENQUEUED", "DELAYED"],
            queue_name=QUEUE,
            limit=self._queue.longest,
            load_input=False,
            load_output=False,
        )
        if len(waiting) >= self._queue.longest:
            raise RequestRefused(RequestCode.QUEUE_FULL, f"Retry in {self._queue.retry_after_seconds} s.")
        options: EnqueueOptions = {
            "queue_name": QUEUE,
            "workflow_name": f"{FLOW}.run",
            "workflow_id": workflow_id(job),
            "workflow_id_reuse_policy": "reject",
            "app_version": VERSION,
            "class_name": FLOW,
            "instance_name": INSTANCE,
            "attributes": {REQUEST: _hash(request), HOLDER: holder},
        }
        try:
            self._client.enqueue(options, job, request.model_dump(mode="json"))
        except dbos_errors.DBOSWorkflowIDInUseError:
            return False
        return True

    def _taken_up(self, known: WorkflowStatus, request: AnyRequest, holder: str | None) -> Job | None:
        """Return the job of a repeated call; None if it ended with its caller, so that it must run again."""
        attributes = _attributes(known)
        if attributes.get(REQUEST) != _hash(request):
            detail = "Its idempotency key was used for another request before; make a new key for each request."
            raise RequestRefused(RequestCode.INVALID_REQUEST, detail)
        job = self._job(known)
        if job.state == "cancelled" and attributes.get(HOLDER) is not None:
            return None
        if not job.is_at_its_end:
            self.hold(job.id, holder)
        return job

    def _status(self, job: str) -> WorkflowStatus | None:
        found = self._client.list_workflows(workflow_ids=[workflow_id(job)], load_input=False, load_output=True)
        return found[0] if found else None

    @contextmanager
    def _database(self) -> Iterator[None]:
        """Raise `RetryLater` while the database is unreachable; the log gives the reason, once a minute."""
        try:
            yield
        except SQLAlchemyError as error:
            if self._outages.due() is not None:
                _log.warning("database_not_reached", reason=reason_of(error))
            raise RetryLater("The queue's database cannot be reached; retry later.") from error

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
            code = "worker_died" if died else "internal_error"
            problem = Problem(code=code, message="The service's log has the details.")
            return Job(id=job, state=state, progress=1.0, problem=problem)
        return Job(id=job, state=state, progress=self._progress.read(job) if state == "running" else 0.0)


def _attributes(status: WorkflowStatus) -> dict[str, Any]:
    return status.attributes or {}


def _hash(request: AnyRequest) -> str:
    return hashlib.sha256(request.model_dump_json().encode()).hexdigest()


def _impatient(database: str) -> str:
    """Return the URL of the same database with timeouts of seconds, for a network that drops packets."""
    url = make_url(database)
    if url.get_backend_name() == "postgresql":
        limits = {name: str(value) for name, value in POSTGRES_CONNECTION.items() if name not in url.query}
        url = url.update_query_dict(limits)
    return url.render_as_string(hide_password=False)
