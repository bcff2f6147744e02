"""The durable workflow of a study: route, segment, deliver.

DBOS keeps which step has finished, the spool keeps what came of it. Every step looks into the spool first, so a step
that is repeated after a crash, or a database that is rebuilt, does nothing twice. Workflow IDs are made of study,
revision, run and attempt, so the same work cannot be queued twice. Work that has to wait leaves its queue and is queued
again with a delay, and each destination has a queue of its own: what cannot go on for now holds up nobody.
"""

import logging
import shutil
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from dbos import DBOS, DBOSConfiguredInstance, SetEnqueueOptions, SetWorkflowID
from pydicom import dcmread

from app.delivering import PENDING, Deliveries, end_of
from app.notices import write_notices
from app.outcome import make_delivery, make_outcome, outcome_of
from app.overview import COUNTERS
from app.routing import matching_routes
from app.settings import NodeSettings
from core.errors import ConfigInvalid, PackageInvalid, RetryLater, StudyRejected
from core.report import Reason, Report
from dicom_io.images.facts import read_series_facts
from dicom_io.spool.counters import Counters
from dicom_io.spool.revision import Revision, State
from dicom_io.spool.spool import Spool

STUDY_QUEUE = "studies"
WORKFLOW_VERSION = "2"
"""Pinned application version: DBOS goes on only with work of its own version.

Raise it when the order or the arguments of steps change; what an older version left is then begun again from the spool.
"""

LIVE = ("PENDING", "ENQUEUED", "DELAYED")
"""States of a workflow that DBOS still has to do."""

MAX_DEATHS = 3
"""How often the worker may die over one study before the study is set aside."""

FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 600.0
MAX_ATTEMPTS = 500
"""With the longest wait, a disk may be full for three days; for destinations see `app.destination_settings.Retry`."""

_log = logging.getLogger("segnode")


class StudySegmenter(Protocol):
    """What runs the graph: `app.segmenter.Segmenter`, or a stand-in."""

    def run(self, input_folder: Path, output_folder: Path, models: Sequence[str], *, revision: int = 0) -> list[Report]:
        """Segment what is in a folder."""
        ...


def wait_s(attempt: int) -> float:
    """Seconds to wait after the given attempt, counted from 0, could not be finished."""
    return float(min(FIRST_WAIT_S * 2.0 ** min(attempt, 20), LONGEST_WAIT_S))


@contextmanager
def _disk_trouble_passes() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RetryLater(f"the spool cannot be read or written: {error.strerror}") from error


def workflow_prefixes(revision: Revision) -> list[str]:
    """How the IDs of all workflows of a revision begin."""
    return [f"{kind}.{revision.key}.{revision.number}." for kind in ("study", "delivery")]


def delivery_queue(destination: str) -> str:
    """Name of a destination's queue."""
    return f"deliver-{destination}"


@DBOS.dbos_class()
class StudyFlow(DBOSConfiguredInstance):
    """The workflows, bound to one node's settings, spool and models.

    Parameters
    ----------
    settings
        The node's settings.
    spool
        Its spool.
    segmenter
        Its warm models.
    """

    def __init__(self, settings: NodeSettings, spool: Spool, segmenter: StudySegmenter) -> None:
        self._settings = settings
        self._spool = spool
        self._segmenter = segmenter
        # Recovered studies run beside the queue; the models serve one at a time.
        self._one_at_a_time = threading.Lock()
        self._deliveries = Deliveries(settings)
        self._counters = Counters(settings.spool / COUNTERS, "worker")
        super().__init__("node")

    def enqueue(self, revision: Revision) -> None:
        """Queue the work on a closed revision; queueing it again changes nothing."""
        self._enqueue_study(revision.key, revision.number, revision.read_state()["run"], 0)

    def is_under_way(self, revision: Revision) -> bool:
        """Whether a workflow of this version still has this revision to do."""
        live = DBOS.list_workflows(
            workflow_id_prefix=workflow_prefixes(revision),
            status=list(LIVE),
            app_version=WORKFLOW_VERSION,
            limit=1,
            load_input=False,
            load_output=False,
        )
        return bool(live)

    @DBOS.workflow()
    def process(self, key: str, number: int, run: int, attempt: int) -> str:
        """Bring one revision of a study from its images to queued deliveries; queue the next try if that must wait."""
        with self._failing_visibly(key, number):
            plan = self.route(key, number)
            models = sorted({model for models in plan.values() for model in models})
            outcome = self.segment(key, number, models, attempt)
            if outcome == "waiting":
                self._enqueue_study(key, number, run, attempt + 1)
                return outcome
            for destination in self.prepare_delivery(key, number, plan, outcome):
                self._enqueue_delivery(key, number, run, destination, 0)
            return outcome

    @DBOS.workflow()
    def deliver(self, key: str, number: int, run: int, destination: str, attempt: int) -> str:
        """Try once to bring the results to one destination; if that must wait, queue the next try."""
        with self._failing_visibly(key, number):
            state, wait = self.send(key, number, destination, attempt)
            if state in PENDING:
                self._enqueue_delivery(key, number, run, destination, attempt + 1, wait)
            else:
                self.finish(key, number)
            return state

    def _enqueue_study(self, key: str, number: int, run: int, attempt: int) -> None:
        with _as_attempt(f"study.{key}.{number}.{run}", attempt, wait_s(attempt - 1) if attempt else 0.0):
            DBOS.enqueue_workflow(STUDY_QUEUE, self.process, key, number, run, attempt)

    def _enqueue_delivery(
        self, key: str, number: int, run: int, destination: str, attempt: int, wait: float = 0.0
    ) -> None:
        with _as_attempt(f"delivery.{key}.{number}.{run}.{destination}", attempt, wait):
            DBOS.enqueue_workflow(delivery_queue(destination), self.deliver, key, number, run, destination, attempt)

    @contextmanager
    def _failing_visibly(self, key: str, number: int) -> Iterator[None]:
        try:
            yield
        except Exception as problem:  # noqa: BLE001 - a workflow's outermost loop: its study must end visibly
            name = type(problem).__name__
            self._end(self._spool.revision(key, number), State.FAILED, "internal_error", name)
            # The database keeps an exception's text, and that can quote a data element.
            raise RuntimeError(name) from None

    # Steps

    @DBOS.step()
    def route(self, key: str, number: int) -> dict[str, list[str]]:
        """Models for each destination, by the routes that the study takes."""
        revision = self._spool.revision(key, number)
        series = read_series_facts(revision.images)
        plan: dict[str, list[str]] = {}
        for route in matching_routes(self._settings.routes, self._spool.study(key)["called_ae"], series):
            for destination in route.destinations:
                models = plan.setdefault(destination, [])
                models.extend(model for model in route.models if model not in models)
        return plan

    @DBOS.step()
    def segment(self, key: str, number: int, models: list[str], attempt: int) -> str:
        """Run the graph once, and keep what it answered in the spool: its outcome, or ``waiting``."""
        revision = self._spool.revision(key, number)
        if (known := revision.read_outcome()) is not None:
            return str(known["outcome"])
        if not models:
            outcome = make_outcome("refused", "no_route", "No route of node.yaml takes a study like this.")
        else:
            try:
                with self._one_at_a_time, _disk_trouble_passes():
                    outcome = self._run_graph(revision, models)
            except RetryLater as problem:
                if attempt + 1 < MAX_ATTEMPTS:
                    self._wait(revision, str(problem))
                    return "waiting"
                outcome = make_outcome("failed", "retry_later", str(problem))
            except Exception as problem:  # noqa: BLE001 - whatever a model or decoder does wrong, its study ends visibly
                place = traceback.extract_tb(problem.__traceback__)[-1]
                what = f"{type(problem).__name__} at {Path(place.filename).name}:{place.lineno}"
                outcome = make_outcome("failed", "internal_error", what)
        revision.write_outcome(outcome)
        return str(outcome["outcome"])

    def _run_graph(self, revision: Revision, models: list[str]) -> dict[str, Any]:
        with self._spool.changing(revision):
            deaths = revision.read_state()["attempts"]
            if deaths >= MAX_DEATHS:
                return make_outcome("failed", "worker_died", f"The worker died {deaths} times over this study.")
            revision.write_state(state=State.RUNNING, attempts=deaths + 1, reason=None)
        _log.info("study_running", extra={"study": revision.key, "revision": revision.number, "models": len(models)})
        shutil.rmtree(revision.results, ignore_errors=True)
        revision.results.mkdir()
        try:
            reports = self._segmenter.run(revision.images, revision.results, models, revision=revision.number)
        except StudyRejected as rejection:
            return make_outcome("refused", str(rejection.code), rejection.message)
        except (ConfigInvalid, PackageInvalid) as error:
            reason = Reason.of(error)
            return make_outcome("failed", reason.code, reason.message)
        finally:
            # Reached unless the process died, which is what is counted.
            with self._spool.changing(revision):
                revision.write_state(attempts=deaths)
        self._measure(reports)
        return outcome_of(reports)

    def _measure(self, reports: Sequence[Report]) -> None:
        for report in reports:
            for stage, seconds in report.timings_s.items():
                self._counters.add("segnode_stage_seconds", seconds, label=stage)
                self._counters.add("segnode_stage_runs", label=stage)
        self._counters.raise_to("gpu_memory_peak", gpu_memory_peak())

    @DBOS.step()
    def prepare_delivery(self, key: str, number: int, plan: dict[str, list[str]], outcome: str) -> list[str]:
        """Note what each destination is to get, a notice where a route asks for one; with nothing to send, end here."""
        revision = self._spool.revision(key, number)
        known = revision.read_outcome() or {}
        files: dict[str, list[str]] = known.get("files", {})
        reason = known.get("reason")
        notices = write_notices(self._settings, self._spool, revision, plan)
        wanted = {
            destination: sorted({name for model in models for name in files.get(model, [])})
            + ([notices[destination]] if destination in notices else [])
            for destination, models in plan.items()
        }
        if not any(wanted.values()):
            state = State.NOTHING_FOUND if outcome == "segmented" else State(outcome)
            self._end(revision, state, *((reason["code"], reason["message"]) if reason else ()))
            return []
        for name in {name for names in wanted.values() for name in names}:
            header = dcmread(revision.results / name, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
            self._spool.own.add(str(header.SOPInstanceUID))
        destinations = []
        for destination, names in wanted.items():
            if names:
                if revision.read_delivery(destination) is None:
                    revision.write_delivery(destination, make_delivery(names))
                destinations.append(destination)
        with self._spool.changing(revision):
            revision.write_state(state=State.DELIVERING, reason=reason)
        return destinations

    @DBOS.step()
    def send(self, key: str, number: int, destination: str, attempt: int) -> tuple[str, float]:
        """Go on with one delivery: its state, and seconds to wait where it is not at its end."""
        try:
            return self._deliveries.advance(self._spool.revision(key, number), destination)
        except OSError as error:
            if attempt + 1 >= MAX_ATTEMPTS:
                raise
            _log.warning("delivery_not_noted", extra={"study": key, "revision": number, "reason": error.strerror})
            return "waiting", wait_s(attempt)

    @DBOS.step()
    def finish(self, key: str, number: int) -> None:
        """End the revision if this was its last delivery."""
        revision = self._spool.revision(key, number)
        if (end := end_of(revision)) is not None:
            self._end(revision, *end)

    def _wait(self, revision: Revision, message: str) -> None:
        with self._spool.changing(revision):
            revision.write_state(state=State.WAITING, reason={"code": "retry_later", "message": message})
        _log.warning("study_waiting", extra={"study": revision.key, "revision": revision.number, "reason": message})

    def _end(self, revision: Revision, state: State, code: str = "", message: str = "") -> None:
        with self._spool.changing(revision):
            reason = {"code": code, "message": message} if code else revision.read_state()["reason"]
            revision.write_state(state=state, reason=reason)
        extra = {"study": revision.key, "revision": revision.number, "reason": reason["code"] if reason else "none"}
        _log.info(f"study_{state}", extra=extra)


def gpu_memory_peak() -> float:
    """Most bytes of GPU memory that this process has held; 0 where no network ran on a GPU."""
    torch = sys.modules.get("torch")  # only looked at: what loads it is the engine's business
    return float(torch.cuda.max_memory_allocated()) if torch is not None and torch.cuda.is_available() else 0.0


@contextmanager
def _as_attempt(workflow_id: str, attempt: int, wait: float) -> Iterator[None]:
    with SetWorkflowID(f"{workflow_id}.{attempt}"), SetEnqueueOptions(delay_seconds=wait or None):
        yield
