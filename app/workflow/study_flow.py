"""The durable workflow of a study: route, segment, deliver.

DBOS keeps which step has finished, the spool keeps what came of it. Every step looks into the spool first, so a step
that is repeated after a crash, or a database that is rebuilt, does nothing twice. Workflow IDs are made of study,
incarnation, revision, run and attempt, so the same work cannot be queued twice. Work that has to wait leaves its queue
and is queued again with a delay, and each destination has a queue of its own: what cannot go on for now holds up
nobody.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Concatenate, ParamSpec, TypeVar

from dbos import DBOS, DBOSConfiguredInstance
from pydicom import dcmread
from sqlalchemy.exc import SQLAlchemyError

from app.settings.node import NodeSettings
from app.workflow.deliveries import begin_delivery, end_of
from app.workflow.delivery_step import DeliveryStep
from app.workflow.notices import write_notices
from app.workflow.outcome import make_outcome
from app.workflow.routing import is_possible, plan_study
from app.workflow.segment_step import SegmentStep, publish
from app.workflow.workflow_ids import (
    LIVE,
    QUEUE_PRIORITIES,
    STUDY_QUEUE,
    WorkItem,
    delivery_queue,
    queueing,
    workflow_prefixes,
)
from core.backoff import Backoff
from core.errors import Superseded
from core.event_log import EventLog, bound
from core.raised_at import raised_at
from dicom_io.images.headers.facts import read_series_facts
from dicom_io.spool.claims import Claim, take
from dicom_io.spool.isolation import DAMAGE, problem_of
from dicom_io.spool.records import (
    INTERNAL_ERROR,
    NO_DESTINATION,
    PENDING,
    WITHDRAWN,
    Outcome,
    Plan,
    PlannedDelivery,
    RecordedReason,
    State,
)
from dicom_io.spool.revision import Revision
from dicom_io.spool.spool import Spool
from runtime.lease_table import reason_of
from runtime.worker_lease import WorkerLease

WORKFLOW_VERSION = "5"
"""Pinned application version: DBOS goes on only with work of its own version.

Raise it when the order or the arguments of steps change; what an older version left is then begun again from the spool.
"""

FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 600.0
MAX_ATTEMPTS = 500
"""With the longest wait, a disk may be full for three days; for destinations see `app.settings.destination.Retry`."""

_log = EventLog()

P = ParamSpec("P")
T = TypeVar("T")
Step = Callable[Concatenate["StudyFlow", str, int, P], T]


class StepFailed(Exception):
    """A step met a defect, told by type and place: the database keeps the text, and an error's own may quote data."""

    @classmethod
    def by(cls, error: Exception) -> "StepFailed":
        """Describe an error without its text."""
        return cls(f"{type(error).__name__} at {raised_at(error.__traceback__)}")


def disk_may_wait(step: Step[P, T]) -> Step[P, T | None]:
    """Let a step return None where the spool cannot be read or written for now; the workflow then comes back later.

    Nothing can be noted then, and what DBOS would do with an error is to end the work.
    """

    @functools.wraps(step)
    def tried(flow: "StudyFlow", key: str, number: int, /, *args: P.args, **kwargs: P.kwargs) -> T | None:
        with bound(study=key, revision=number):
            try:
                return step(flow, key, number, *args, **kwargs)
            except (Superseded, SQLAlchemyError):
                raise
            except FileNotFoundError as error:  # what was deleted does not come back
                raise StepFailed.by(error) from None
            except OSError as error:
                _log.warning("step_postponed", step=step.__name__, reason=error.strerror)
                return None
            except Exception as error:  # noqa: BLE001 - a step's outermost frame: DBOS writes down what leaves it
                raise StepFailed.by(error) from None

    return tried


def wait_s(attempt: int) -> float:
    """Seconds to wait after the given attempt, counted from 0, could not be finished."""
    return Backoff(FIRST_WAIT_S, LONGEST_WAIT_S).wait_s(attempt)


@DBOS.dbos_class()
class StudyFlow(DBOSConfiguredInstance):
    """The workflows, bound to one node's settings, spool and models.

    Parameters
    ----------
    settings
        The node's settings.
    spool
        Its spool.
    segment_step
        Its warm models.
    lease
        This worker's right to do the work.
    """

    def __init__(self, settings: NodeSettings, spool: Spool, segment_step: SegmentStep, lease: WorkerLease) -> None:
        self._settings = settings
        self._spool = spool
        self._lease = lease
        self._segment_step = segment_step
        self._deliveries = DeliveryStep(settings)
        super().__init__("node")

    def enqueue(self, revision: Revision) -> None:
        """Queue the work on a closed revision; queueing it again changes nothing."""
        self._enqueue_study(WorkItem.of(self._spool, revision), 0)

    def drop(self, revision: Revision) -> None:
        """Cancel the workflows of this revision, of whichever version, that have not ended."""
        left = DBOS.list_workflows(
            workflow_id_prefix=workflow_prefixes(revision, self._spool.incarnation(revision.key)),
            status=list(LIVE),
            load_input=False,
            load_output=False,
        )
        for workflow in left:
            DBOS.cancel_workflow(workflow.workflow_id)

    def is_under_way(self, revision: Revision) -> bool:
        """Return whether a workflow of a version that some worker runs still has this revision to do."""
        live = DBOS.list_workflows(
            workflow_id_prefix=workflow_prefixes(revision, self._spool.incarnation(revision.key)),
            status=list(LIVE),
            app_version=sorted(self._lease.versions),
            limit=1,
            load_input=False,
            load_output=False,
        )
        return bool(live)

    @DBOS.workflow()
    def process(self, key: str, incarnation: str, number: int, run: int, attempt: int) -> str:
        """Bring one revision of a study from its images to queued deliveries; queue the next try if that must wait."""
        item = WorkItem(key, incarnation, number, run)
        with self._failing_visibly(item):
            models = self.route(key, number, run)
            if models is None:
                return self._later(item, attempt)
            outcome = self.segment(key, number, run, models, attempt)
            if outcome is None or outcome == "waiting":
                return self._later(item, attempt)
            destinations = self.prepare_delivery(key, number, run, outcome)
            if destinations is None:
                return self._later(item, attempt)
            for destination in destinations:
                self._enqueue_delivery(item, destination, 0)
            return outcome

    @DBOS.workflow()
    def deliver(self, key: str, incarnation: str, number: int, run: int, destination: str, attempt: int) -> str:
        """Try once to bring the results to one destination; if that must wait, queue the next try."""
        item = WorkItem(key, incarnation, number, run)
        with self._failing_visibly(item, destination):
            state, wait = self.send(key, number, run, destination) or ("waiting", wait_s(attempt))
            if state not in PENDING and self.finish(key, number, run, destination) is None:
                state, wait = "waiting", wait_s(attempt)
            if state in PENDING:
                self._enqueue_delivery(item, destination, attempt + 1, wait)
            return state

    def _later(self, item: WorkItem, attempt: int) -> str:
        self._enqueue_study(item, attempt + 1)
        return "waiting"

    def _enqueue_study(self, item: WorkItem, attempt: int) -> None:
        wait = wait_s(self._waits(self._spool.revision(item.key, item.number), attempt - 1)) if attempt else 0.0
        with queueing(item.study_workflow(attempt), wait, self._queue_priority(item)):
            DBOS.enqueue_workflow(STUDY_QUEUE, self.process, *item, attempt)

    def _enqueue_delivery(self, item: WorkItem, destination: str, attempt: int, wait: float = 0.0) -> None:
        with queueing(item.delivery_workflow(destination, attempt), wait, self._queue_priority(item)):
            DBOS.enqueue_workflow(delivery_queue(destination), self.deliver, *item, destination, attempt)

    def _queue_priority(self, item: WorkItem) -> int:
        try:
            return QUEUE_PRIORITIES[self._spool.revision(item.key, item.number).priority]
        except OSError:
            return QUEUE_PRIORITIES["routine"]  # late is better than never

    def _waits(self, revision: Revision, attempt: int) -> int:
        """Return how many of the attempts had to wait; giving way to an urgent study is no wait, however often."""
        try:
            return max(0, attempt - revision.read_state().gave_way)
        except OSError:
            return max(0, attempt)  # late is better than never

    def _claim(self, key: str, number: int, run: int, destination: str | None = None) -> Claim:
        return take(self._spool, self._lease, self._spool.revision(key, number), run, destination)

    @contextmanager
    def _failing_visibly(self, item: WorkItem, destination: str | None = None) -> Iterator[None]:
        with bound(study=item.key, revision=item.number):
            try:
                yield
            except Superseded:
                _log.warning("work_superseded")
                raise
            except SQLAlchemyError as problem:
                # Not the study's fault, and nothing can be queued now: a new process goes on from the database.
                _log.error("database_failed", reason=reason_of(problem))
                self._segment_step.end_process()
            except Exception as problem:  # noqa: BLE001 - a workflow's outermost loop: its study must end visibly
                name = str(problem) if isinstance(problem, StepFailed) else type(problem).__name__
                try:
                    claim = self._claim_of_failed(item, destination)
                    with claim.held() as revision:
                        _end_by_defect(revision, claim.destination, name)
                except DAMAGE as damage:
                    _log.error("failure_not_noted", problem=problem_of(damage))
                raise StepFailed(name) from None

    def _claim_of_failed(self, item: WorkItem, destination: str | None) -> Claim:
        """Claim the work that failed; where the record of its delivery is what is damaged, claim the revision."""
        try:
            return self._claim(item.key, item.number, item.run, destination)
        except DAMAGE:
            return self._claim(item.key, item.number, item.run)

    def _plan(self, revision: Revision) -> Plan:
        """Read the plan of the revision's present run; where there is none that can be followed, make and keep one."""
        state, routes = revision.read_state(), self._settings.routes
        if state.plan is not None and state.plan.run == state.run and is_possible(state.plan, routes):
            return state.plan
        series = read_series_facts(revision.images)
        outputs = {name: destination.outputs for name, destination in self._settings.destinations.items()}
        plan = plan_study(routes, self._spool.study(revision.key)["called_ae"], series).for_run(state.run, outputs)
        revision.write_state(plan=plan)
        return plan

    # Steps

    @DBOS.step()
    @disk_may_wait
    def route(self, key: str, number: int, run: int) -> list[str]:
        """Plan the run by the routes that the study takes, unless it is planned; the models of the plan."""
        with self._claim(key, number, run).held() as revision:
            return self._plan(revision).models

    @DBOS.step()
    @disk_may_wait
    def segment(self, key: str, number: int, run: int, models: list[str], attempt: int) -> str:
        """Run the graph once, and keep what it answered in the spool: its outcome, or ``waiting``."""
        claim = self._claim(key, number, run)
        if (known := claim.revision.read_outcome()) is not None:
            return known.outcome
        if models:
            waits = self._waits(claim.revision, attempt)
            return self._segment_step.run(claim, models, waits=waits, max_waits=MAX_ATTEMPTS - 1)
        publish(claim, make_outcome("refused", "no_route", "No route of node.yaml takes a study like this."))
        return "refused"

    @DBOS.step()
    @disk_may_wait
    def prepare_delivery(self, key: str, number: int, run: int, outcome: str) -> list[str]:
        """Note what each destination is to get, a notice where a route asks for one; with nothing to send, end here."""
        with self._claim(key, number, run).held() as revision:
            known = revision.read_outcome() or Outcome(outcome)
            files, reason = known.files, known.reason
            plan = self._plan(revision)
            notices = write_notices(self._spool, revision, plan)
            wanted = {
                destination: _files_for(planned, files) + ([notices[destination]] if destination in notices else [])
                for destination, planned in plan.destinations.items()
            }
            _give_up_all_but(wanted, revision)
            if not any(wanted.values()):
                if any(files.values()):
                    _end(
                        revision,
                        State.FAILED,
                        NO_DESTINATION,
                        "No route in node.yaml has a destination for these results.",
                    )
                else:
                    state = State.NOTHING_FOUND if outcome == "segmented" else State(outcome)
                    _end(revision, state, *((reason.code, reason.message) if reason else ()))
                return []
            for name in {name for names in wanted.values() for name in names}:
                header = dcmread(revision.results / name, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
                self._spool.own.add(str(header.SOPInstanceUID))
            destinations = [destination for destination, names in wanted.items() if names]
            for destination in destinations:
                begin_delivery(revision, destination, wanted[destination])
            revision.write_state(state=State.DELIVERING, reason=reason)
            return destinations

    @DBOS.step()
    @disk_may_wait
    def send(self, key: str, number: int, run: int, destination: str) -> tuple[str, float]:
        """Go on with one delivery: its state, and seconds to wait where it is not at its end."""
        return self._deliveries.advance(self._claim(key, number, run, destination), destination)

    @DBOS.step()
    @disk_may_wait
    def finish(self, key: str, number: int, run: int, destination: str) -> bool:
        """End the revision if this was its last delivery; whether it was."""
        with self._claim(key, number, run, destination).held() as revision:
            end = None if revision.state.is_final else end_of(revision)
            if end is not None:
                _end(revision, *end)
            return end is not None


def _files_for(planned: PlannedDelivery, files: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what a destination gets of what each model made."""
    ends = tuple(f".{output}.dcm" for output in planned.outputs)
    return sorted({name for model in planned.models for name in files.get(model, ()) if name.endswith(ends)})


def _give_up_all_but(wanted: Mapping[str, list[str]], revision: Revision) -> None:
    """End deliveries that no route asks for any more; nobody would go on with them, and their study never end."""
    for name, delivery in revision.deliveries().items():
        if delivery.state in PENDING and not wanted.get(name):
            reason = "no route of node.yaml sends this study there any more"
            revision.write_delivery(name, replace(delivery, state=WITHDRAWN, reason=reason))


def _end_by_defect(revision: Revision, destination: str | None, name: str) -> None:
    """End one delivery by a defect of the program, and the revision with the last of them; or the revision at once."""
    delivery = revision.read_delivery(destination) if destination is not None else None
    if destination is None or delivery is None or delivery.state not in PENDING:
        _end(revision, State.FAILED, INTERNAL_ERROR, name)
        return
    revision.write_delivery(destination, replace(delivery, state="failed", reason=f"{INTERNAL_ERROR}: {name}"))
    _log.error("delivery_defect_found", destination=destination, problem=name)
    if not revision.state.is_final and (end := end_of(revision)) is not None:
        _end(revision, *end)


def _end(revision: Revision, state: State, code: str = "", message: str = "") -> None:
    reason = RecordedReason(code, message) if code else revision.read_state().reason
    revision.write_state(state=state, reason=reason)
    _log.info(f"study_{state}", reason=reason.code if reason else "none")
