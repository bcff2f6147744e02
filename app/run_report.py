"""From finished runs to ``report.json``."""

from collections.abc import Iterator, Sequence

from core.regular_grid import regular_grid
from core.report import (
    LabelReport,
    MeasurementReport,
    ModelReport,
    Outcome,
    Reason,
    Report,
    SeriesReport,
    WarningReport,
)
from core.study_warning import StudyWarning, distinct
from dicom_io.images.selection.selection import Decision
from dicom_io.images.study import Study
from operators.model_run import ModelRun

_STRENGTH = ("taken", "refused", "left", "set_aside")
"""Of several models' decisions on a series, the first of these is the entry's."""


def report_runs(
    study: Study,
    runs: Sequence[ModelRun],
    of_models: Sequence[StudyWarning],
    headers_s: float,
    graph_s: float,
    device: str,
) -> Report:
    """Report a study that came through the graph.

    ``headers_s`` are the seconds in which its headers were read, before the graph ran for ``graph_s``; ``of_models``
    are the warnings about the models, whichever study they run on.

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
        reason = Reason.of(first.rejection, first.package.config.name if len(runs) > 1 else None)
    stages = dict.fromkeys(("read", "preprocess", "network", "labels", "postprocess", "seg"), 0.0)
    for run in runs:
        for stage, seconds in run.timings_s.items():
            stages[stage] = stages.get(stage, 0.0) + seconds
    stages["read"] += headers_s
    stages["total"] = headers_s + graph_s
    return Report(
        study=study.uid,
        outcome=outcome,
        reason=reason,
        series=_series_reports(study, runs),
        models=tuple(map(_model_report, done)),
        warnings=tuple(map(WarningReport.of, distinct((*of_models, *_warnings(study, runs))))),
        timings_s={stage: round(seconds, 3) for stage, seconds in stages.items()},
        device=device,
    )


def _model_report(run: ModelRun) -> ModelReport:
    spacing = run.volume.geometry.spacing if run.volume is not None else None
    return ModelReport(
        name=run.package.config.name,
        sha256=run.package.sha256,
        profile=run.package.inference.profile,
        backend=str(run.backend) if run.backend is not None else None,
        spacing_mm=spacing and (round(spacing[0], 6), round(spacing[1], 6), round(spacing[2], 6)),
        geometry=_geometry_of(run),
        volumes_ml=run.label_map.volumes_ml() if run.label_map is not None else {},
        labels=tuple(map(LabelReport.of, run.label_map.labels)) if run.label_map is not None else (),
        measurements=tuple(MeasurementReport.of(one, run.unit) for one in run.measurements),
        outputs=run.outputs,
        seg_sop_instance_uid=run.seg_uid,
    )


def _geometry_of(run: ModelRun) -> str | None:
    """Say what was irregular in the stack, and what was done with it."""
    grid = run.volume.geometry if run.volume is not None else None
    if grid is None or grid.stack is None:
        return None
    shape = " x ".join(map(str, regular_grid(grid).shape))
    return (
        f"{grid.stack}; interpolated once to a grid of {shape} voxels, {grid.spacing[0]:.3f} mm apart along the "
        "normal; labels at the true place of every voxel"
    )


def _warnings(study: Study, runs: Sequence[ModelRun]) -> Iterator[StudyWarning]:
    """Yield what was found of the study, its series and its results; of a run, whatever was not found before it."""
    yield from study.warnings
    for run in runs:
        yield from run.warnings
        yield from run.selection.warnings if run.selection is not None else ()
        yield from run.volume.warnings if run.volume is not None else ()


def _series_reports(study: Study, runs: Sequence[ModelRun]) -> tuple[SeriesReport, ...]:
    """One entry a series or volume of it; with several models, each decision says which model's it is."""
    entries: dict[tuple[str, str], list[tuple[ModelRun, Decision]]] = {}
    for run in runs:
        for decision in run.selection.decisions if run.selection is not None else ():
            words = decision.part.words if decision.part is not None else ""
            entries.setdefault((decision.series_uid, words), []).append((run, decision))
    return tuple(_series_report(uid, decisions, len(runs) > 1) for (uid, _), decisions in entries.items())


def _series_report(uid: str, decisions: Sequence[tuple[ModelRun, Decision]], several: bool) -> SeriesReport:
    strongest = min((decision.decision for _, decision in decisions), key=_STRENGTH.index)
    channels = [decision.channel for _, decision in decisions if decision.channel is not None]
    reasons = [(f"{run.package.config.name}: " if several else "") + _why(run, decision) for run, decision in decisions]
    part = decisions[0][1].part
    return SeriesReport(
        uid=uid,
        decision=strongest,
        channel=", ".join(dict.fromkeys(channels)) or None,
        reason=" ".join(dict.fromkeys(reasons)),
        volume=part.words if part is not None else None,
        volume_rule=dict(part.named) if part is not None else None,
    )


def _why(run: ModelRun, decision: Decision) -> str:
    warnings = run.volume.warnings if run.volume is not None and decision.decision == "taken" else ()
    return " ".join([decision.reason, *(f"Warning: {warning.finding}" for warning in warnings)])
