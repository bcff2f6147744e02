"""Warnings about a package that runs all the same."""

from collections.abc import Iterable

from core.event_log import EventLog
from core.model_config import ModelConfig
from core.study_warning import StudyWarning, WarningCode
from core.units import PT_UNITS
from segmentation.package.open_decisions import forbidding_questions, standing_questions
from segmentation.package.package import MODEL_YAML, Package
from segmentation.package.profile_results import warning_of

_log = EventLog()


def warnings_of(package: Package, processor: str) -> tuple[StudyWarning, ...]:
    """Return the warnings about a package that concern every study it runs on; each names the model.

    Parameters
    ----------
    package
        In the profile in which it really runs.
    processor
        The kind of processor that it runs on.

    Raises
    ------
    PackageInvalid
        If what was measured of the package is damaged.
    """
    found = (warning_of(package, processor), _undecided(package), *_undecided_units(package.config))
    return tuple(warning for warning in found if warning is not None)


def warnings_at_loading(package: Package, processor: str) -> tuple[StudyWarning, ...]:
    """Return every warning about a package: those of `warnings_of`, and what concerns the package alone.

    Raises
    ------
    PackageInvalid
        If what was measured of the package is damaged.
    """
    old = () if package.record is not None else (_without_record(package),)
    return (*warnings_of(package, processor), *old)


def log_warnings(warnings: Iterable[StudyWarning]) -> None:
    """Log warnings about a package that has been loaded."""
    for warning in warnings:
        _log.warning("model_warning_raised", model=warning.model, warning=warning.code, problem=warning.message)


def _undecided(package: Package) -> StudyWarning | None:
    questions = forbidding_questions(package)
    if not questions:
        return None
    listed = "; ".join(str(question).rstrip(".") for question in questions)
    detail = (
        f"{package.folder / MODEL_YAML}: {listed}. Answer each, delete its comment; no route or alias loads it before."
    )
    return StudyWarning(WarningCode.PACKAGE_UNDECIDED, detail, model=package.config.name)


def _without_record(package: Package) -> StudyWarning:
    lines = ", ".join(str(question.line) for question in standing_questions(package))
    where = f"lines {lines} of {package.folder / MODEL_YAML}" if lines else ""
    detail = f"{package.folder}: it is older than that record, so no open question in its model.yaml stops it"
    detail += f"; read {where}, and delete each comment that is settled." if where else "; none is open."
    return StudyWarning(WarningCode.PACKAGE_WITHOUT_RECORD, detail, model=package.config.name)


def _undecided_units(config: ModelConfig) -> list[StudyWarning]:
    return [
        StudyWarning(
            WarningCode.UNIT_UNDECIDED,
            f"{config.name}: channel {channel.name} names no unit; write that of the training images into model.yaml "
            f"(unit: {' or '.join(PT_UNITS)}).",
            model=config.name,
        )
        for channel in config.channels
        if "PT" in channel.series.modality and channel.unit is None
    ]
