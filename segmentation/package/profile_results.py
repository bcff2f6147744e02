"""The loss and gain of profile ``fast``, measured on cases and kept beside the package.

As for golden cases, only hashes of the files are kept, and a measurement counts only for the weights and settings with
which it was made.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import PackageInvalid
from core.files import write_whole
from core.model_config import ModelManifest
from core.study_warning import StudyWarning, WarningCode
from segmentation.package.hashes import sha256_of_bytes
from segmentation.package.package import Package

MEASUREMENTS = "measurements.json"

Dice = dict[str, float | None]
"""Dice by label name; null if neither mask holds the label."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ProfileRun(_Frozen):
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


class CaseMeasurement(_Frozen):
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


class Measurement(_Frozen):
    """The results of all cases of one call.

    Attributes
    ----------
    seal
        SHA-256 of the package's ``SHA256SUMS`` at the time.
    settings
        SHA-256 of the settings in ``model.yaml`` that change labels in either profile.
    """

    when: str
    segnode: str
    seal: str
    settings: str
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


class Measurements(_Frozen):
    """The whole of ``measurements.json``, newest last."""

    schema_version: Literal[1] = 1
    measurements: tuple[Measurement, ...] = ()


def settings_of_profiles(manifest: ModelManifest) -> str:
    """Compute the SHA-256 of the settings in ``model.yaml`` that change labels in either profile."""
    inference = manifest.inference.model_dump_json(exclude={"profile"})
    return sha256_of_bytes(f"{manifest.orientation}\n{inference}".encode())


def read_measurements(folder: Path) -> Measurements:
    """Read all measurements of a package; there are none if it was never measured.

    Raises
    ------
    PackageInvalid
        If the file is damaged.
    """
    path = folder / MEASUREMENTS
    if not path.exists():
        return Measurements()
    try:
        return Measurements.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise PackageInvalid(f"{path}: {str(error).splitlines()[0]}") from error


def store_measurement(folder: Path, measurement: Measurement) -> None:
    """Append a measurement; the file is written whole or not at all."""
    known = read_measurements(folder).measurements
    whole = Measurements(measurements=(*known, measurement))
    write_whole(folder / MEASUREMENTS, whole.model_dump_json(indent=1) + "\n")


def measurement_of(package: Package) -> Measurement | None:
    """Find the newest measurement with a package's present weights and settings, if there is one.

    Raises
    ------
    PackageInvalid
        If the file is damaged.
    """
    settings = settings_of_profiles(package.manifest)
    fitting = [
        found
        for found in read_measurements(package.folder).measurements
        if found.seal == package.seal and found.settings == settings
    ]
    return fitting[-1] if fitting else None


def warning_of(package: Package) -> StudyWarning | None:
    """Write a warning if the package runs in profile ``fast`` and its loss has not been measured, else ``None``."""
    if package.manifest.inference.profile == "exact" or measurement_of(package) is not None:
        return None
    detail = (
        f"{package.name}: the loss of profile fast has not been measured with these weights and settings; "
        f"run: segnode models measure {package.name} IMAGES"
    )
    return StudyWarning(WarningCode.FAST_NOT_MEASURED, detail, model=package.manifest.name)
