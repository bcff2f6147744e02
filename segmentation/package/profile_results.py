"""What profile ``fast`` costs and saves, as measured on cases and kept beside the package.

As with golden cases, only hashes of the files are kept, and a measurement counts for the weights and settings with
which it was made.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import PackageInvalid
from core.files import write_whole
from core.model_config import ModelManifest
from segmentation.package.hashes import sha256_of_bytes
from segmentation.package.package import Package

MEASUREMENTS = "measurements.json"

Dice = dict[str, float | None]
"""By label; null where neither mask holds it."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ProfileRun(_Frozen):
    """One profile on one case.

    Attributes
    ----------
    seconds
        From the image in memory to labels, networks loaded.
    peak_bytes
        Most memory that the process held meanwhile, of the GPU where it ran there; null where the system tells none.
    truth_dice
        Against the truth, where there is one.
    """

    seconds: float
    peak_bytes: int | None
    truth_dice: Dice | None


class CaseMeasurement(_Frozen):
    """One image in both profiles.

    Attributes
    ----------
    dice
        Of ``fast`` against ``exact``, before post-processing.
    mismatches
        Voxels with different labels.
    """

    image_sha256: tuple[str, ...]
    truth_sha256: str | None
    voxels: int
    mismatches: int
    dice: Dice
    exact: ProfileRun
    fast: ProfileRun


class Measurement(_Frozen):
    """All cases of one call.

    Attributes
    ----------
    seal
        SHA-256 of the package's ``SHA256SUMS`` at the time.
    settings
        SHA-256 of what in ``model.yaml`` changes labels in either profile.
    """

    when: str
    segnode: str
    seal: str
    settings: str
    device: str
    cases: tuple[CaseMeasurement, ...]

    @property
    def worst_dice(self) -> Dice:
        """For each label the least Dice of all cases that hold it."""
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
    """SHA-256 of what in ``model.yaml`` changes labels in either profile."""
    inference = manifest.inference.model_dump_json(exclude={"profile"})
    return sha256_of_bytes(f"{manifest.orientation}\n{inference}".encode())


def read_measurements(folder: Path) -> Measurements:
    """All that a package was measured; nothing where it never was.

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
    """Append a measurement, written whole or not at all."""
    known = read_measurements(folder).measurements
    whole = Measurements(measurements=(*known, measurement))
    write_whole(folder / MEASUREMENTS, whole.model_dump_json(indent=1) + "\n")


def measurement_of(package: Package) -> Measurement | None:
    """The newest measurement with a package's present weights and settings, if there is one.

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


def warning_of(package: Package) -> str | None:
    """What to tell whoever runs a package in profile ``fast`` whose loss nobody has measured."""
    if package.manifest.inference.profile == "exact" or measurement_of(package) is not None:
        return None
    return (
        f"{package.name}: nobody has measured what profile fast loses with these weights and settings; "
        f"run: segnode models measure {package.name} IMAGES"
    )
