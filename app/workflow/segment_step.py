"""Runs the graph on a revision, and keeps in the spool what it answered."""

import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NoReturn

from app.study_run import RunGraph, StudyRun
from app.workflow.outcome import make_outcome, outcome_of, warnings_of
from core.errors import ConfigInvalid, OutOfMemory, PackageInvalid, RetryLater, StudyRejected, Superseded
from core.event_log import EventLog
from core.files import sync_folder
from core.raised_at import raised_at
from core.report import Reason, Report, WarningReport
from dicom_io.spool.claims import Claim
from dicom_io.spool.counters import COUNTERS, Counters
from dicom_io.spool.records import Outcome, RecordedReason, RecordedWarning, State
from runtime.attempts import Attempts

MAX_WAITS_FOR_MEMORY = 10
"""Number of waits of a study for GPU memory, which double, so for about a quarter of an hour in all."""

_log = EventLog()


TimeLimit = Callable[[str, int], AbstractContextManager[None]]
"""Puts a time limit on work on a study, given its key and its revision's number."""


@contextmanager
def _disk_trouble_passes() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RetryLater(f"the spool cannot be read or written: {error.strerror}") from error


class SegmentStep:
    """The warm models of a worker, one study at a time.

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
    """

    def __init__(
        self, spool: Path, run_graph: RunGraph, time_limit: TimeLimit, attempts: Attempts, max_deaths: int
    ) -> None:
        self._run_graph = run_graph
        self._time_limit = time_limit
        self._attempts = attempts
        self._max_deaths = max_deaths
        # Recovered studies run beside the queue; the models serve one at a time.
        self._one_at_a_time = threading.Lock()
        self._counters = Counters(spool / COUNTERS, "worker")

    def run(self, claim: Claim, models: Sequence[str], *, waits: int, max_waits: int) -> str:
        """Run the graph once, and keep what it answered: its outcome, or ``waiting``.

        Parameters
        ----------
        waits, max_waits
            How often the study has waited before, and how often it may.

        Raises
        ------
        Superseded
            If somebody else does the study; nothing of this run is kept.
        """
        warnings: tuple[RecordedWarning, ...] = ()
        try:
            with self._one_at_a_time, _disk_trouble_passes():
                outcome, warnings = self._try(claim, models)
        except Superseded:
            raise
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
        with self._one_at_a_time:
            os._exit(RetryLater.exit_code)

    def _try(self, claim: Claim, models: Sequence[str]) -> tuple[Outcome, tuple[RecordedWarning, ...]]:
        with self._attempts.counted(claim.revision.mark_of_try(claim.number), claim.revision.marks_of_tries) as deaths:
            with claim.held() as revision:
                known = revision.read_state()
                if deaths >= self._max_deaths:
                    return _set_aside(deaths, known.overtimes), ()
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
            )
            try:
                with self._time_limit(revision.key, revision.number):
                    report = self._run_graph(run)
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


def _wait(claim: Claim, reason: Reason) -> None:
    shutil.rmtree(claim.results, ignore_errors=True)  # where the disk is full, this makes room
    with claim.held() as revision:
        revision.write_state(state=State.WAITING, reason=RecordedReason(reason.code, reason.message))
    _log.warning("study_postponed", reason=reason.message)


def gpu_memory_peak() -> float:
    """Most bytes of GPU memory that this process has held; 0 where no network ran on a GPU."""
    torch = sys.modules.get("torch")  # only looked at: what loads it is the engine's business
    return float(torch.cuda.max_memory_allocated()) if torch is not None and torch.cuda.is_available() else 0.0
