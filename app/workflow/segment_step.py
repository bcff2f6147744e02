"""Runs the graph on a revision, and keeps in the spool what it answered."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from app.study_run import Choices, RunGraph, StudyRun
from app.workflow.outcome import make_outcome, outcome_of, warnings_of
from app.workflow.study_places import GaveWay, StudyPlace, StudyPlaces
from core.errors import ConfigInvalid, OutOfMemory, PackageInvalid, RetryLater, StudyRejected, Superseded
from core.event_log import EventLog
from core.files import sync_folder
from core.raised_at import raised_at
from core.report import Reason, Report, WarningReport
from dicom_io.spool.claims import Claim
from dicom_io.spool.counters import COUNTERS, Counters
from dicom_io.spool.records import Outcome, RecordedReason, RecordedWarning, State
from dicom_io.spool.revision import Revision
from runtime.attempts import Attempt, Attempts
from runtime.watchdog import Clock

MAX_WAITS_FOR_MEMORY = 10
"""Number of waits of a study for GPU memory, which double, so for about a quarter of an hour in all."""

_log = EventLog()


TimeLimit = Callable[[str, int], AbstractContextManager[Clock]]
"""Puts a time limit on work on a study, given its key and its revision's number."""


class StudyTurns:
    """The turns that a study takes with the other one in the worker's hands: `app.study_run.Turns`.

    Parameters
    ----------
    place, clock, attempt
        Its place in the worker, its time, which stands still while it waits for the other, and its attempt, which is
        to blame while its network runs.
    attempts
        All attempts of the worker.
    """

    def __init__(self, place: StudyPlace, clock: Clock, attempt: Attempt, attempts: Attempts) -> None:
        self._place = place
        self._clock = clock
        self._attempt = attempt
        self._attempts = attempts

    @contextmanager
    def network(self) -> Iterator[None]:
        """Wait until the study's networks may run, which they do in the block."""
        with ExitStack() as turn:
            with self._clock.stopped():
                turn.enter_context(self._place.network())
            turn.enter_context(self._attempts.blamed(self._attempt))
            yield

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait for memory in the block."""
        with self._clock.stopped(), self._place.waiting_for_memory():
            yield


@contextmanager
def _disk_trouble_passes() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RetryLater(f"the spool cannot be read or written: {error.strerror}") from error


class SegmentStep:
    """The warm models of a worker, and the studies that take turns at them.

    Parameters
    ----------
    spool
        Folder of the spool, for the counts.
    run_graph
        Runs the models.
    time_limit
        Puts a limit on each run.
    attempts
        Tell how often a worker has died over a study.
    max_deaths
        How often one may before the study is set aside.
    places
        The places of the worker.
    """

    def __init__(
        self,
        spool: Path,
        run_graph: RunGraph,
        time_limit: TimeLimit,
        attempts: Attempts,
        max_deaths: int,
        places: StudyPlaces,
    ) -> None:
        self._run_graph = run_graph
        self._time_limit = time_limit
        self._attempts = attempts
        self._max_deaths = max_deaths
        self._places = places
        self._counters = Counters(spool / COUNTERS, "worker")

    def run(self, claim: Claim, models: Sequence[str], *, waits: int, max_waits: int) -> str:
        """Run the graph once, and keep what it answered: its outcome, or ``waiting``.

        Parameters
        ----------
        waits, max_waits
            How often the study has waited before, and how often it may; giving way to an urgent one is no such wait.

        Raises
        ------
        Superseded
            If somebody else does the study; nothing of this run is kept.
        """
        warnings: tuple[RecordedWarning, ...] = ()
        try:
            with _disk_trouble_passes(), self._place_for(claim.revision) as place:
                outcome, warnings = self._try(claim, models, place)
        except Superseded:
            raise
        except GaveWay as problem:
            _wait(claim, Reason.of(problem), gave_way=True)
            return "waiting"
        except RetryLater as problem:
            reason = Reason.of(problem)
            if waits < (MAX_WAITS_FOR_MEMORY if isinstance(problem, OutOfMemory) else max_waits):
                _wait(claim, reason)
                return "waiting"
            outcome = make_outcome("failed", reason.code, reason.message)
        except Exception as problem:  # noqa: BLE001 - whatever a model or decoder does wrong, its study ends visibly
            what = f"{type(problem).__name__} at {raised_at(problem.__traceback__)}"
            outcome = make_outcome("failed", "internal_error", what)
        publish(claim, outcome, warnings)
        return outcome.outcome

    def end_process(self) -> NoReturn:
        """End this process, between two studies: one that runs would be counted as having cost a worker."""
        with self._places.taken(is_urgent=True, is_alone=True):
            os._exit(RetryLater.exit_code)

    def _place_for(self, revision: Revision) -> AbstractContextManager[StudyPlace]:
        return self._places.taken(is_urgent=revision.priority == "stat", is_alone=revision.tries.any_died())

    def _try(
        self, claim: Claim, models: Sequence[str], place: StudyPlace
    ) -> tuple[Outcome, tuple[RecordedWarning, ...]]:
        tries = claim.revision.tries
        mark, spared = tries.mark(claim.number), tries.spared_mark(claim.number)
        with self._attempts.counted(mark, tries.counted, spared) as attempt:
            with claim.held() as revision:
                known = revision.read_state()
                if attempt.deaths >= self._max_deaths:
                    return _set_aside(attempt.deaths, known.overtimes), ()
                for leftover in (revision.results, *revision.path.glob("results.*")):
                    shutil.rmtree(leftover, ignore_errors=True)
                claim.results.mkdir()
                revision.write_state(state=State.RUNNING, reason=None, warnings=known.of_reception)
            _log.info("study_started", models=len(models))
            run = StudyRun(
                revision.images,
                claim.results,
                tuple(models),
                revision.number,
                known.notes,
                tuple(WarningReport(code=one.code, message=one.message) for one in known.of_reception),
                outputs=known.plan.outputs if known.plan is not None else {},
                choices=known.choices,
                on_choice=lambda choices: _note(claim, choices),
            )
            try:
                with self._time_limit(revision.key, revision.number) as clock:
                    turns = StudyTurns(place, clock, attempt, self._attempts)
                    report = self._run_graph(replace(run, turns=turns))
            except StudyRejected as rejection:
                return make_outcome("refused", str(rejection.code), rejection.message), ()
            except (ConfigInvalid, PackageInvalid) as error:
                reason = Reason.of(error)
                return make_outcome("failed", reason.code, reason.message), ()
        self._measure(report)
        return outcome_of(report), warnings_of(report)

    def _measure(self, report: Report) -> None:
        for stage, seconds in report.timings_s.items():
            self._counters.add("segnode_stage_seconds", seconds, label=stage)
            self._counters.add("segnode_stage_runs", label=stage)
        self._counters.raise_to("gpu_memory_peak", gpu_memory_peak())


def _note(claim: Claim, choices: Choices) -> None:
    """Keep profile and backend of each model, so that another try, perhaps elsewhere, makes the same results."""
    with claim.held() as revision:
        if revision.read_state().choices != choices:
            revision.write_state(choices=choices)


def publish(claim: Claim, outcome: Outcome, warnings: Sequence[RecordedWarning] = ()) -> None:
    """Keep what the graph answered; from here on it is not run again for this revision.

    Parameters
    ----------
    claim
        On the revision.
    outcome
        What it answered.
    warnings
        What a person should know of its results; each is logged too.

    Raises
    ------
    Superseded
        If somebody else does the study.
    """
    with claim.held() as revision:
        if claim.results.exists():
            shutil.rmtree(revision.results, ignore_errors=True)
            claim.results.rename(revision.results)
            sync_folder(revision.path)
        if warnings:
            revision.write_state(warnings=tuple(warnings))
        revision.write_outcome(outcome)
    for warning in warnings:
        _log.warning("study_warning_raised", warning=warning.code, model=warning.model, problem=warning.message)


def _set_aside(deaths: int, overtimes: int) -> Outcome:
    if not overtimes:
        return make_outcome("failed", "worker_died", f"The worker died {deaths} times over this study.")
    message = f"Of {deaths} attempts at this study, {overtimes} took longer than work.study_minutes."
    return make_outcome("failed", "study_too_long", message)


def _wait(claim: Claim, reason: Reason, *, gave_way: bool = False) -> None:
    shutil.rmtree(claim.results, ignore_errors=True)  # where the disk is full, this makes room
    with claim.held() as revision:
        times = revision.read_state().gave_way + gave_way
        recorded = RecordedReason(reason.code, reason.message)
        revision.write_state(state=State.WAITING, reason=recorded, gave_way=times)
    _log.warning("study_postponed", reason=reason.message)


def gpu_memory_peak() -> float:
    """Most bytes of GPU memory that this process has held; 0 where no network ran on a GPU."""
    torch = sys.modules.get("torch")  # only looked at: what loads it is the engine's business
    return float(torch.cuda.max_memory_allocated()) if torch is not None and torch.cuda.is_available() else 0.0
