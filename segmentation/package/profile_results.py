"""The loss and gain of profile ``fast``, measured on cases and kept beside the package.

As for golden cases, only hashes of the files are kept, and a measurement counts only for the weights and settings with
which it was made.
"""

from pathlib import Path
from typing import Literal

from core.frozen import Frozen
from core.study_warning import StudyWarning, WarningCode
from segmentation.package.package import Package
from segmentation.package.results_file import Result, newest, read_results, settings_hash, write_results

MEASUREMENTS = "measurements.json"
UNUSED_SETTINGS = {"profile"}
"""Keys of ``inference`` that change no label in either profile."""

Dice = dict[str, float | None]
"""Dice by label name; null if neither mask holds the label."""


class ProfileRun(Frozen):
    """The run of one profile on one case.

    Attributes
    ----------
    seconds
        Time from the image in memory to the labels, with the networks already loaded.
    peak_bytes
        Peak memory of the process in that time, of the GPU if it ran there; null if the system does not report it.
    truth_dice
        Dice against the truth, if there is one.
    """

    seconds: float
    peak_bytes: int | None
    truth_dice: Dice | None


class CaseMeasurement(Frozen):
    """The comparison of both profiles on one image.

    Attributes
    ----------
    dice
        Dice of ``fast`` against ``exact``, before post-processing.
    mismatches
        Number of voxels with different labels.
    """

    image_sha256: tuple[str, ...]
    truth_sha256: str | None
    voxels: int
    mismatches: int
    dice: Dice
    exact: ProfileRun
    fast: ProfileRun


class Measurement(Result):
    """The results of all cases of one call."""

    segnode: str
    device: str
    cases: tuple[CaseMeasurement, ...]

    @property
    def worst_dice(self) -> Dice:
        """The lowest Dice of each label over all cases that hold it."""
        worst: Dice = {}
        for case in self.cases:
            for label, value in case.dice.items():
                known = worst.get(label)
                worst[label] = value if known is None else known if value is None else min(known, value)
        return worst


class Measurements(Frozen):
    """The whole of ``measurements.json``, newest last."""

    schema_version: Literal[1] = 1
    measurements: tuple[Measurement, ...] = ()


def read_measurements(folder: Path) -> Measurements:
    """Read all measurements of a package; there are none if it was never measured.

    Raises
    ------
    PackageInvalid
        If the file is damaged.
    """
    return read_results(folder / MEASUREMENTS, Measurements)


def store_measurement(folder: Path, measurement: Measurement) -> None:
    """Append a measurement; the file is written whole or not at all."""
    known = read_measurements(folder).measurements
    write_results(folder / MEASUREMENTS, Measurements(measurements=(*known, measurement)))


def measurement_of(package: Package) -> Measurement | None:
    """Find the newest measurement with a package's present weights and settings, if there is one.

    Raises
    ------
    PackageInvalid
        If the file is damaged.
    """
    measurements = read_measurements(package.folder).measurements
    return newest(measurements, package.seal, settings_hash(package.config, UNUSED_SETTINGS))


def warning_of(package: Package) -> StudyWarning | None:
    """Write a warning if the package runs in profile ``fast`` and its loss has not been measured, else ``None``."""
    if package.inference.profile == "exact" or measurement_of(package) is not None:
        return None
    detail = (
        f"{package.folder}: the loss of profile fast has not been measured with these weights and settings; "
        f"run: segnode models measure {package.folder.name} IMAGES"
    )
    return StudyWarning(WarningCode.FAST_NOT_MEASURED, detail, model=package.config.name)
