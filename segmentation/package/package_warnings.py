"""Warnings about a package that runs all the same."""

from core.model_config import ModelConfig
from core.study_warning import StudyWarning, WarningCode
from core.units import PT_UNITS
from segmentation.package.package import Package
from segmentation.package.profile_results import warning_of


def warnings_of(package: Package) -> tuple[StudyWarning, ...]:
    """Return every warning about a package, whichever study it runs on; each names the model.

    Raises
    ------
    PackageInvalid
        If what was measured of the package is damaged.
    """
    fast = warning_of(package)
    return (*(() if fast is None else (fast,)), *_undecided_units(package.config))


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
