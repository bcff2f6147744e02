"""From finished runs to ``report.json``."""

from collections.abc import Sequence

from core.errors import SegnodeError
from core.report import ModelReport, Outcome, Reason, Report, SeriesReport
from dicom_io.study import Study
from operators.model_run import ModelRun


def report_runs(study: Study, runs: Sequence[ModelRun], total_s: float, device: str) -> Report:
    """Report a study that came through the graph.

    The study is refused when every model refused it. Where only some did, the others' results stand, and ``reason``
    names the first model that refused.
    """
    rejected = [run for run in runs if run.rejection is not None]
    done = [run for run in runs if run.rejection is None]
    found = any(run.label_map is not None and not run.label_map.is_empty for run in done)
    outcome: Outcome = "refused" if not done else "segmented" if found else "nothing_found"
    reason = None
    if rejected:
        first = rejected[0]
        assert first.rejection is not None  # noqa: S101 - for the type checker; the list holds rejected runs only
        reason = Reason.of(first.rejection, first.package.manifest.name if len(runs) > 1 else None)
    stages = dict.fromkeys(("read", "preprocess", "network", "labels", "postprocess", "seg"), 0.0)
    for run in runs:
        for stage, seconds in run.timings_s.items():
            stages[stage] += seconds
    stages["total"] = total_s
    return Report(
        study=study.uid,
        outcome=outcome,
        reason=reason,
        series=_series_reports(study, runs),
        models=tuple(
            ModelReport(
                name=run.package.manifest.name,
                sha256=run.package.sha256,
                volumes_ml=run.label_map.volumes_ml() if run.label_map is not None else {},
                outputs=run.outputs,
            )
            for run in done
        ),
        timings_s={stage: round(seconds, 3) for stage, seconds in stages.items()},
        device=device,
    )


def report_failure(study_uid: str, error: SegnodeError, device: str) -> Report:
    """Report a study that could not be finished for a reason outside the study."""
    return Report(study=study_uid, outcome="failed", reason=Reason.of(error), device=device)


def _series_reports(study: Study, runs: Sequence[ModelRun]) -> tuple[SeriesReport, ...]:
    reports = []
    for run in runs:
        prefix = f"{run.package.manifest.name}: " if len(runs) > 1 else ""
        warnings = "; ".join(run.volume.warnings) if run.volume is not None else ""
        for decision in run.selection.decisions if run.selection is not None else ():
            reason = prefix + decision.reason
            if decision.decision == "taken" and warnings:
                reason += f" Warning: {warnings}"
            reports.append(
                SeriesReport(
                    uid=decision.series_uid, decision=decision.decision, channel=decision.channel, reason=reason
                )
            )
    return tuple(reports)
