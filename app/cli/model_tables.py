"""The output of ``segnode models``: a package's facts as a table or JSON, outcomes, and how far the work is."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Column, Table

from app.progress import phase
from core.errors import PackageInvalid

if TYPE_CHECKING:
    from core.model_config import Profile
    from segmentation.package.golden_results import Outcome
    from segmentation.package.package import Package
    from segmentation.package.profile_results import Measurement


def facts_of(package: "Package") -> dict[str, Any]:
    """Return the facts of a package and what is known of it, for JSON."""
    from segmentation.package.golden_results import read_outcomes
    from segmentation.package.open_decisions import standing_questions
    from segmentation.package.profile_results import measurements_of

    size = sum((package.folder / name).stat().st_size for name in package.sums)
    return {
        "name": package.name,
        "version": package.config.version,
        "folder": str(package.folder),
        "sha256": package.sha256,
        "bytes": size,
        "orientation": package.config.orientation,
        "channels": [channel.name for channel in package.config.channels],
        "labels": {label.name: label.value for label in package.config.labels},
        "configurations": [c.id for c in package.manifest.configurations],
        "folds": {c.id: [fold.fold for fold in c.folds] for c in package.manifest.configurations},
        "checkpoints": sorted(
            {fold.checkpoint.rpartition("/")[2] for c in package.manifest.configurations for fold in c.folds}
        ),
        "ensemble": list(package.manifest.members) if package.manifest.is_ensemble else [],
        "parts": {part.configuration: sorted(part.values.values()) for part in package.manifest.parts},
        "trainers": list(package.manifest.trainers),
        "postprocessing": [step.step for step in package.config.postprocessing],
        "segnode": package.record.segnode if package.record else None,
        "questions": [{"line": one.line, "key": one.key, "text": one.text} for one in standing_questions(package)],
        "golden_cases": [outcome.model_dump() for outcome in read_outcomes(package.folder).cases],
        "profile": package.config.inference.profile,
        "fast": package.config.inference.fast.model_dump(),
        "measured": [facts_of_measurement(one) for one in measurements_of(package)],
    }


def _unknown_state(folder: Path) -> dict[str, Any]:
    """Return the row of a package of which nothing is known yet."""
    row: dict[str, Any] = {"name": folder.name, "folder": str(folder), "state": "invalid", "reason": None}
    return row | {"sha256": "", "configurations": [], "labels": {}}


def state_of(folder: Path) -> dict[str, Any]:
    """One row of the list; a package that cannot be used is a row with a reason."""
    from segmentation.package.golden_results import require_commissioning
    from segmentation.package.open_decisions import require_decided
    from segmentation.package.package import open_package

    row = _unknown_state(folder)
    try:
        package = open_package(folder)
        row |= facts_of(package) | {"name": folder.name, "state": "not commissioned"}
        require_commissioning(folder, package.manifest.trainers, package.seal, package.config)
        row["state"] = "undecided"
        require_decided(package)
    except PackageInvalid as error:
        return row | {"reason": str(error)}
    return row | {"state": "ready"}


def table_of(package: "Package") -> Table:
    """Write the same for people."""
    from segmentation.package.profile_results import measurements_of

    facts = facts_of(package)
    table = Table(Column(), Column(overflow="fold"), show_header=False)  # a hash that is cut is no hash
    table.add_row("name", f"{facts['name']} (version {facts['version']})")
    table.add_row("folder", facts["folder"])
    table.add_row("sha256", facts["sha256"])
    table.add_row("size", f"{facts['bytes'] / 1e6:.1f} MB")
    for identifier, folds in facts["folds"].items():
        configuration = package.manifest.configuration(identifier)
        patch, spacing = (
            "x".join(f"{v:g}" for v in values) for values in (configuration.patch_size, configuration.spacing)
        )
        table.add_row("network", f"{identifier}, folds {folds}, patch {patch}, spacing {spacing} mm")
    table.add_row("checkpoints", ", ".join(facts["checkpoints"]))
    table.add_row("ensemble", ", ".join(facts["ensemble"]) or "no")
    for identifier, values in facts["parts"].items():
        table.add_row("part", f"{identifier}: {len(values)} labels, {values[0]} to {values[-1]}; over the parts above")
    table.add_row("orientation", facts["orientation"])
    table.add_row("channels", ", ".join(facts["channels"]))
    table.add_row("labels", ", ".join(f"{value} {label}" for label, value in facts["labels"].items()))
    table.add_row("post-processing", ", ".join(facts["postprocessing"]) or "none")
    golden = facts["golden_cases"]
    table.add_row(
        "golden cases", f"{sum(case['passed'] for case in golden)} of {len(golden)} passed" if golden else "none"
    )
    table.add_row("added by", f"segnode {facts['segnode']}" if facts["segnode"] else "not recorded")
    table.add_row(
        "open questions", "\n".join(f"line {one['line']}: {one['text']}" for one in facts["questions"]) or "none"
    )
    measured = measurements_of(package)
    used = ", written by models measure --use" if package.used_profile == facts["profile"] else ""
    table.add_row("profile", f"{facts['profile']}{used}")
    table.add_row("fast", ", ".join(f"{name} {_said(value)}" for name, value in facts["fast"].items()))
    table.add_row("measured", _losses_of(measured) if measured else "not with these weights and settings")
    return table


def after_adding(package: "Package") -> list[str]:
    """Write what a person does next: the open questions, and the next two commands."""
    path = package.folder / "model.yaml"
    lines = []
    if package.questions:
        lines.append(f"{path} asks you, and no route or alias loads {package.name} before. Answer, delete the comment:")
        lines += [f"  line {one.line}: {one.key}: {one.text}" for one in package.questions]
    expected = " ".join(f"--case IMAGE_{number:04d}.nii.gz" for number in range(len(package.manifest.channels)))
    return [
        *lines,
        "Next:",
        f"  segnode models verify {package.name} {expected} --expect WHAT_NNUNET_PREDICTED.nii.gz",
        f"  segnode run DICOM_FOLDER OUT --model {package.name}",
    ]


def table_of_outcome(outcome: "Outcome") -> Table:
    """Describe the outcome of a golden case."""
    table = Table("Label", "Dice", title=f"golden case {'passed' if outcome.passed else 'FAILED'}")
    for label, dice in outcome.dice.items():
        table.add_row(label, "not in this case" if dice is None else f"{dice:.4f}")
    table.add_row("voxels that agree", f"{outcome.agreement:.4%}")
    return table


def facts_of_measurement(measurement: "Measurement") -> dict[str, Any]:
    """Return a measurement for JSON, with what follows from its cases."""
    worst = {profile: measurement.worst_dice(profile) for profile in measurement.profiles}
    return measurement.model_dump() | {"profiles": measurement.summary(), "worst_dice": worst}


def tables_of_measurement(measurement: "Measurement") -> list[Table]:
    """Write for each profile what it loses and saves, and for each label what it loses."""
    return [_table_of_profiles(measurement), *(_table_of_labels(measurement, one) for one in measurement.profiles)]


def said_of_use(package: "Package", measurement: "Measurement", profile: "Profile") -> str:
    """Write what ``--use`` has written, and on which grounds."""
    summary = measurement.summary()
    seconds = {name: one["seconds"] for name, one in summary.items()}
    said = f"{package.folder / 'model.yaml'}: profile: {profile}"
    if profile == "exact":
        return f"{said}: no other profile was faster and lost no more than is allowed."
    one = summary[profile]
    lost = f"{one['mismatches']} voxels differ from exact"
    if one["components_lost"]:
        lost += f", {one['components_lost']} components are lost, the largest of {one['largest_lost_ml']:g} ml"
    return (
        f"{said}, by {_way_of(one)}: {seconds[profile]:.1f} s instead of {seconds['exact']:.1f} s; {lost}. "
        f"It counts on this kind of processor ({measurement.processor}); on one that was not measured exact runs."
    )


def _table_of_profiles(measurement: "Measurement") -> Table:
    columns = ("Voxels that differ", "Lowest Dice", "Components lost, gained", "Volume changes by")
    title = f"{len(measurement.cases)} cases, {measurement.processor or measurement.device}"
    table = Table("Profile", "Backend", "Seconds", "Peak GB", *columns, title=title)
    for profile, one in measurement.summary().items():
        peak = f"{one['peak_bytes'] / 1e9:.2f}" if one["peak_bytes"] else "not known"
        row = [profile, _way_of(one), f"{one['seconds']:.1f}", peak]
        if profile != "exact":
            lost, change = one["components_lost"], one["volume_change_ml"]
            row += [str(one["mismatches"]), _figure(one["lowest_dice"])]
            row.append("not counted" if lost is None else f"{lost}, {one['components_gained']}")
            row.append("not counted" if change is None else f"{change:.3g} ml")
        table.add_row(*row)
    return table


def _way_of(summary: Mapping[str, Any]) -> str:
    return " ".join([summary["backend"] or "torch", *([summary["precision"]] if summary["precision"] else [])])


def _table_of_labels(measurement: "Measurement", profile: "Profile") -> Table:
    with_truth = any(case.truth_sha256 for case in measurement.cases)
    truths = ("exact to truth", f"{profile} to truth") if with_truth else ()
    table = Table("Label", f"{profile} to exact, mean", "worst case", *truths, title=f"profile {profile}, Dice")
    for label, worst in measurement.worst_dice(profile).items():
        cells = [_mean([case.losses[profile].dice[label] for case in measurement.cases]), _figure(worst)]
        if with_truth:
            for name in ("exact", profile):
                truth_dice = [case.runs[name].truth_dice for case in measurement.cases]
                cells.append(_mean([dice[label] for dice in truth_dice if dice]))
        table.add_row(label, *cells)
    return table


def _losses_of(measurements: "Sequence[Measurement]") -> str:
    return "\n".join(_loss_of(measurement, profile) for measurement in measurements for profile in measurement.profiles)


def _loss_of(measurement: "Measurement", profile: "Profile") -> str:
    cases = measurement.cases
    mismatches, voxels = measurement.mismatches(profile), sum(case.voxels for case in cases)
    peaks = [max(case.runs[one].peak_bytes or 0 for case in cases) for one in ("exact", profile)]
    memory = f", {peaks[0] / 1e9:.2f} to {peaks[1] / 1e9:.2f} GB" if all(peaks) else ""
    return (
        f"{profile}: {len(cases)} cases on {measurement.processor or measurement.device}: "
        f"worst Dice {_figure(measurement.lowest_dice(profile))}, "
        f"{mismatches} of {voxels} voxels differ ({mismatches / voxels:.3%}), "
        f"{measurement.seconds('exact'):.1f} to {measurement.seconds(profile):.1f} s{memory}"
    )


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return _figure(sum(known) / len(known) if known else None)


def _figure(dice: float | None) -> str:
    return "not in these cases" if dice is None else f"{dice:.4f}"


def _said(value: float | bool | None) -> str:
    return "no" if value is False or value is None else "yes" if value is True else f"{value:g}"


def hashing(*, shown: bool) -> AbstractContextManager[object]:
    """Say why nothing happens yet: gigabytes of weights take seconds to hash."""
    return phase("checking every file's SHA-256", shown=shown)


def print_json(content: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
